"""The captioner in its own process."""

import re
import time

import numpy as np
import pytest

from mmslg.streams.caption_worker import CaptionRecipe, CaptionWorker

INFRARED = np.zeros((8, 12), np.uint8)


def ask(worker, mood):
    """Wait for the worker, ask it, and wait for the answer; some minutes at most."""
    deadline = time.monotonic() + 300
    while not worker.idle and time.monotonic() < deadline:
        answer = worker.poll()
        if answer is not None:
            return answer
        time.sleep(0.01)
    worker.submit(np.full((8, 12, 3), mood, np.uint8), INFRARED)
    assert not worker.idle
    while time.monotonic() < deadline:
        answer = worker.poll()
        if answer is not None:
            return answer
        time.sleep(0.01)
    raise AssertionError('no answer')


def recipe(**options):
    return CaptionRecipe('moody', 'hashed', options, dict(width=8), ('streams.moody',))


def test_it_answers_fails_goes_on_and_dies_of_a_bug():
    worker = CaptionWorker(recipe())
    try:
        answer = ask(worker, 7)
        assert answer.caption.scene == 'scene 7' and answer.embedding.shape == (4, 8)
        assert ask(worker, 1)._replace(embedding=None) == (None, None, 'no idea', False)
        assert ask(worker, 8).caption.scene == 'scene 8'
        answer = ask(worker, 2)
        assert answer.dead and answer.reason == 'RuntimeError: a bug in two lines'
        assert worker.poll() is None and not worker.idle
    finally:
        worker.close()


@pytest.mark.parametrize(('mood', 'reason'), [(3, r'its process ended \(signal 9\)')])
def test_it_is_killed(mood, reason):
    worker = CaptionWorker(recipe())
    try:
        answer = ask(worker, mood)
        assert answer.dead and re.fullmatch(reason, answer.reason)
        assert worker.poll() is None
    finally:
        worker.close()


def test_a_captioner_that_cannot_be_built_says_why_and_a_busy_one_can_be_ended():
    nothing = CaptionWorker(CaptionRecipe('nobody', 'hashed'))
    busy = CaptionWorker(recipe(seconds=1000.0))
    try:
        answer = ask(nothing, 0)
        assert answer.dead and "no captioner is called 'nobody'" in answer.reason
        while not busy.idle:
            busy.poll()
            time.sleep(0.01)
        busy.submit(np.zeros((2000, 2000, 3), np.uint8), INFRARED)
    finally:
        nothing.close()
        busy.close()
    assert not busy._process.is_alive()
