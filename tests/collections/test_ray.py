"""Pairs over workers of Ray: the run is killed, then one of its workers, and each pair is there once.

Nothing here goes by the clock: a pair passes a worker when the test has written a ticket for it.
"""

import json
import os
import shutil
import signal
import tempfile
import time
from types import SimpleNamespace

import cv2
import numpy as np
import psutil
import pytest
from helpers import LEAN, ROOT, TINY, run_here, write_weights

pytest.importorskip('ray', reason='large collections want ray, see requirements/ray.txt')
pa = pytest.importorskip('pyarrow', reason='large collections want pyarrow')

from mmslg.apis.launch import parse_options, read_config  # noqa: E402
from mmslg.apis.pair_inferencer import Pair, PairInferencer  # noqa: E402
from mmslg.apis.profiling import build_detector  # noqa: E402
from mmslg.collections import command, ray_detection  # noqa: E402
from mmslg.errors import InputError  # noqa: E402

NUMBER, BROKEN = 12, 5
PASSED = 3
"""Pairs that pass before the run is killed; one worker gets them in blocks of three."""
LIMIT = 600
"""Seconds after which something is given up that would otherwise be waited for for ever."""


def wait_for(event):
    """Return what ``event()`` returns once it is true."""
    end = time.monotonic() + LIMIT
    while not (value := event()):
        assert time.monotonic() < end, f'waited {LIMIT} s'
        time.sleep(0.05)
    return value


@pytest.fixture
def made(pairs, monkeypatch):
    """A tiny model of random weights, a list of twelve pairs, one of them broken, and a folder of tickets."""
    cfg = read_config(str(pairs / 'leaf.py'), parse_options(TINY))
    cfg.custom_imports = dict(imports=['ticketed'])
    cfg.dump(str(pairs / 'tiny.py'))
    write_weights(pairs / 'weights.pth', build_detector(cfg, seed=1))
    rng = np.random.default_rng(0)
    rows = []
    for number in range(NUMBER):
        visible, infrared = (rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((64, 96, 3), (64, 96)))
        visible[0, 0] = number
        for name, image in (('v', visible), ('i', infrared)):
            cv2.imwrite(str(pairs / f'{name}{number}.png'), image)
        rows.append(dict(id=str(number), visible=f'v{number}.png', infrared=f'i{number}.png'))
    rows[BROKEN]['infrared'] = 'leaf.py'
    (pairs / 'list.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    (pairs / 'tickets').mkdir()
    monkeypatch.setenv('TICKETS', str(pairs / 'tickets'))
    monkeypatch.setenv('PYTHONPATH', f'{ROOT}:{LEAN}:{ROOT}/tests/collections')
    monkeypatch.syspath_prepend(ROOT / 'tests' / 'collections')
    short = tempfile.mkdtemp(dir='/tmp')  # the names of Ray's sockets lie below it, and have a limit
    monkeypatch.setattr(tempfile, 'tempdir', short)
    yield SimpleNamespace(
        folder=pairs, out=pairs / 'out', run=lambda *more: detect(pairs, monkeypatch, *more)
    )
    shutil.rmtree(short, ignore_errors=True)


def detect(folder, monkeypatch, *more):
    files = folder / 'tiny.py', folder / 'weights.pth', '--pairs', folder / 'list.jsonl'
    options = '--workers', 2, '--batch-size', 1, '--rows-per-shard', 1, '--captioner', 'ticketed'
    names = '--encoder', 'hashed', '--score-thr', 0, '--out', folder / 'out'
    return run_here('deploy/infer_ray.py', monkeypatch, *files, *options, *names, *more)


def hand_out(folder, numbers):
    for number in numbers:
        (folder / 'tickets' / f'ticket_{number}').touch()


def came(folder):
    """Return (process, pair) of every pair that a worker has begun, in order."""
    file = folder / 'tickets' / 'came.txt'
    return [tuple(map(int, line.split())) for line in file.read_text().splitlines()] if file.exists() else []


def shards(made):
    return sorted(made.out.glob('part-*.parquet'))


def killed_in_the_middle(made):
    """Run the tool with one worker in a process that is killed while the worker holds a pair."""
    hand_out(made.folder, range(PASSED))
    pid = os.fork()
    if not pid:
        try:
            made.run('--workers', 1)
        finally:
            os._exit(1)
    run = psutil.Process(pid)
    try:
        wait_for(lambda: shards(made) or run.status() == psutil.STATUS_ZOMBIE)
        workers = [p for p in run.children(recursive=True) if p.pid in dict(came(made.folder))]
    finally:
        os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert len(workers) == 1 and not psutil.wait_procs(workers, LIMIT)[1]  # it ends with the run


@pytest.mark.slow
def test_each_pair_is_there_once_whatever_is_killed(made, monkeypatch, capsys):
    killed_in_the_middle(made)
    first = {row['id'] for row in read(made)}
    assert len(first) == PASSED
    killed = []

    class Shards(command.DetectionShards):
        def add(self, table):
            super().add(table)
            if not killed and table['id'][0].as_py() != str(BROKEN):
                killed.append(kill_a_worker(made, before, self.done))
                hand_out(made.folder, range(100))

    monkeypatch.setattr(command, 'DetectionShards', Shards)
    before = len(came(made.folder))
    hand_out(made.folder, [0])
    assert made.run() == 1
    said = capsys.readouterr()
    assert (
        f'holds {PASSED} pairs' in said.out and f'{NUMBER} pairs, {NUMBER - PASSED} of them new' in said.out
    )
    assert 'pairs that failed: 1' in said.err
    again = came(made.folder)[before:]
    assert not first & {str(number) for _, number in again}
    [(dead, number)] = killed
    assert [process for process, other in again if other == number][-1] != dead  # another one had to do it
    rows = read(made)
    assert sorted(int(row['id']) for row in rows) == list(range(NUMBER))
    check(made.folder, {row['id']: row for row in rows})
    monkeypatch.setattr(ray_detection.ray, 'init', lambda *_, **__: pytest.fail('nothing was left to detect'))
    assert made.run() == 1
    assert made.run('--batch-size', 2, '--score-thr', 0.5) == 1
    assert '--score-thr was 0.0 and is 0.5' in capsys.readouterr().err


def kill_a_worker(made, before, done):
    """Kill one of two workers that hold a pair each; return its process and pair."""

    def held():
        found = {process: number for process, number in came(made.folder)[before:] if str(number) not in done}
        return len(found) == 2 and found

    victim = wait_for(held).popitem()
    os.kill(victim[0], signal.SIGKILL)
    return victim


def read(made):
    return [row for path in shards(made) for row in pa.parquet.read_table(path).to_pylist()]


def check(folder, rows):
    """The rows are what one process finds by itself."""
    hand_out(folder, range(100))
    inferencer = PairInferencer(
        folder / 'tiny.py', folder / 'weights.pth', 'cpu', 'ticketed', encoder='hashed'
    )
    broken = rows.pop(str(BROKEN))
    assert 'leaf.py' in broken['error'] and broken['boxes'] == broken['scores'] == broken['labels'] == []
    for name, row in rows.items():
        found = inferencer.predict([Pair(folder / f'v{name}.png', folder / f'i{name}.png')])[0].pred_instances
        assert row['error'] is None and len(found) > 0
        assert row['scores'] == found.scores.tolist() and row['boxes'] == found.bboxes.tolist()
        assert row['class_names'] == [inferencer.classes[label] for label in found.labels]


def test_a_start_that_takes_too_long_is_one_line(monkeypatch):
    def late(*_, **__):
        raise Exception('The current node timed out during startup.\nSee the logs.')

    monkeypatch.setattr(ray_detection.ray, 'init', late)
    message = r'^Ray cannot be reached: The current node timed out'
    with pytest.raises(InputError, match=message) as caught, ray_detection.ray_started(None, 1):
        pass
    assert '\n' not in str(caught.value)
