"""Captions beside detection, under a controlled clock."""

from argparse import ArgumentTypeError

import numpy as np
import pytest
from streams.fakes import Clock, FakeWorker

from mmslg.streams.async_captions import AsyncCaptions, Interval, parse_interval

INFRARED = np.zeros((8, 12), np.uint8)


def run(worker, clock, interval, times, said=None):
    """Step at each time; return what each pair was told, as the number of the pair that was captioned."""
    captions = AsyncCaptions(worker, interval, clock, (said if said is not None else []).append)
    told = []
    for number, clock.now in enumerate(times):
        caption = captions.step(number, np.full((8, 12, 3), number, np.uint8), INFRARED)
        told.append(caption and int(caption.text.scene.split()[1]))
    return told, captions


def test_the_text_switches_with_the_first_pair_behind_its_end_and_nobody_waits():
    clock = Clock()
    worker = FakeWorker(clock, 2.0)
    told, captions = run(
        worker, clock, Interval(seconds=1.0), [0, 0.5, 1.0, 1.99, 2.0, 2.5, 4.0, 4.1, 4.99, 5]
    )
    #  asked at 0, done at 2; 1 was due and busy; at 2 due and idle again, done at 4; 3 busy, at 4 asked again
    assert told == [None, None, None, None, 0, 0, 4, 4, 4, 4]
    assert [asked for asked, _ in worker.asked] == [0, 2.0, 4.0]
    assert captions.finished == 2 and captions.dropped == 3  # due at 1, 3 and 5
    assert captions.age == 5 - 2.0


def test_every_so_many_pairs():
    clock = Clock()
    worker = FakeWorker(clock, 0.0)
    told, captions = run(worker, clock, Interval(pairs=3), range(8))
    assert [number for _, number in worker.asked] == [0, 3, 6] and captions.dropped == 0
    assert told == [None, 0, 0, 0, 3, 3, 3, 6]


def test_age_is_that_of_the_images():
    clock = Clock()
    _, captions = run(FakeWorker(clock, 2.0), clock, Interval(seconds=10), [0, 1, 2, 3, 7])
    assert captions.remarks() == [
        'captions: 1 finished, 0 dropped, 0 failed',
        'caption age: 4.00 s on average, 7.00 s at most',
    ]


def test_nothing_is_due_or_dropped_before_the_captioner_is_loaded():
    clock = Clock()
    worker = FakeWorker(clock, 0.5, ready=10)
    told, captions = run(worker, clock, Interval(seconds=1), [0, 3, 6, 10, 10.5])
    assert told == [None] * 4 + [3] and captions.dropped == 0 and len(worker.asked) == 1
    said = 'the captioner was still loading at the end'
    assert said not in captions.remarks()
    _, captions = run(FakeWorker(clock, 0.5, ready=99), clock, Interval(seconds=1), [11, 12])
    assert captions.remarks()[-1] == said


def test_a_captioner_that_dies_is_told_once_and_its_text_stays():
    clock, said = Clock(), []
    worker = FakeWorker(clock, 1.0, dies_at=2.5)
    told, captions = run(worker, clock, Interval(seconds=1), [0, 1, 2, 3, 4, 5], said)
    assert told == [None, 0, 1, 1, 1, 1]
    assert said == ['the captioner has died: out of memory; its last caption stays']
    assert captions.remarks()[-1] == 'the captioner died'
    said.clear()
    told, _ = run(FakeWorker(clock, 1.0, dies_at=0), clock, Interval(seconds=1), [0, 1], said)
    assert told == [None, None] and said == [
        'the captioner has died: out of memory; detection goes on without a caption'
    ]


def test_a_pair_without_a_caption_keeps_the_last_one_and_is_counted():
    clock = Clock()
    told, captions = run(FakeWorker(clock, 0.0, fails=[1]), clock, Interval(pairs=1), range(4))
    assert told == [None, 0, 0, 2]
    assert captions.remarks()[0] == ('captions: 2 finished, 0 dropped, 1 failed (nothing to say about 1)')


@pytest.mark.parametrize(
    ('text', 'interval'), [('30', (30, None)), ('2s', (None, 2.0)), ('0.5s', (None, 0.5))]
)
def test_intervals(text, interval):
    assert parse_interval(text) == interval


@pytest.mark.parametrize('text', ['0', '0s', '-1', '2 s', 's', '1.5', 'nan', '1e3s'])
def test_what_is_no_interval(text):
    with pytest.raises(ArgumentTypeError, match='wanted pairs such as 30, or seconds such as 2s'):
        parse_interval(text)
