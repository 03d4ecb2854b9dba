"""Runs that are killed: what they had is there, and what comes after is as if nothing had happened."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from captions import slow_run
from captions.annotated import pairs_of, write_annotations
from forked import ForkedTool

from mmslg.captions.generation import generate_captions
from mmslg.captions.journal import Journal

ROOT = Path(__file__).parents[2]
KILLS = 20
PAIRS = 600


def write_pairs(folder, num):
    """Write pairs whose visible image holds their number; return the annotation file."""
    images = [dict(file_name=f'{number:03d}.png') for number in range(num)]
    for number, image in enumerate(images):
        for name in ('visible', 'infrared'):
            (folder / name).mkdir(exist_ok=True)
            picture = np.full((4, 4, 3), [number // 256, number % 256, 0], np.uint8)
            cv2.imwrite(str(folder / name / image['file_name']), picture)
    return write_annotations(folder / 'many.json', images, (4, 4))


def written(out):
    return [Path(f'{out}{end}').read_bytes() for end in ('', '.failed.jsonl')]


@pytest.fixture
def whole(tmp_path):
    """The annotation file of many pairs, and what one run without interruption writes."""
    annotations = write_pairs(tmp_path, PAIRS)
    generate_captions(pairs_of(annotations), slow_run.SlowCaptioner(), 'slow', tmp_path / 'whole.jsonl')
    return annotations, written(tmp_path / 'whole.jsonl')


def test_twenty_kills_at_random_moments_change_nothing(whole, tmp_path):
    annotations, wanted = whole
    lines = {json.loads(line)['file_name']: line for text in wanted for line in text.splitlines()}
    out, journal = tmp_path / 'captions.jsonl', tmp_path / 'captions.jsonl.partial'
    command = [sys.executable, slow_run.__file__, annotations, out, '0.01']
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    moments, kept = random.Random(8), []
    for _ in range(KILLS):
        ready, said = os.pipe()
        with os.fdopen(ready, 'rb') as reader, os.fdopen(said, 'wb') as stdout:
            process = ForkedTool(command, stdout=stdout)
            stdout.close()
            assert reader.readline() == b'ready\n'
            time.sleep(moments.uniform(0, 0.2))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        assert process.returncode == -signal.SIGKILL and not out.exists()
        done = journal.read_bytes().split(b'\n')[:-1] if journal.exists() else []
        assert all(lines[json.loads(line)['file_name']] == line for line in done)  # nothing is invented
        captioned = [line for line in done if b'"failure"' not in line]
        assert len(set(captioned)) == len(captioned)  # and nothing done twice
        assert done[: len(kept)] == kept  # and nothing lost
        kept = done
    assert 20 < len(kept) < PAIRS
    assert subprocess.run([*command[:-1], '0'], env=environment).returncode == 0
    assert written(out) == wanted and not journal.exists()


def test_a_journal_torn_at_any_byte_loses_its_last_line_alone(tmp_path):
    pairs = pairs_of(write_pairs(tmp_path, 5))
    out, journal = tmp_path / 'captions.jsonl', tmp_path / 'captions.jsonl.partial'
    generate_captions(
        pairs, slow_run.SlowCaptioner(), 'slow', out, progress=lambda *_: shutil.copy(journal, tmp_path / 'j')
    )
    content = (tmp_path / 'j').read_bytes()
    for path in (out, tmp_path / 'captions.jsonl.failed.jsonl'):
        path.unlink()
    assert content.count(b'\n') == 5
    for end in range(1, len(content) + 1):
        journal.write_bytes(content[:end])
        with Journal(out, resume=True) as opened:
            assert len(opened.records) + len(opened.failures) == content[:end].count(b'\n')
        left = journal.read_bytes() if journal.exists() else b''
        assert left == content[: content[:end].rfind(b'\n') + 1]


@pytest.mark.parametrize('missing', [(), ('captions.jsonl.failed.jsonl',)])
def test_a_run_killed_while_it_writes_its_output_goes_on(tmp_path, missing):
    pairs = pairs_of(write_pairs(tmp_path, 12))
    out, journal = tmp_path / 'captions.jsonl', tmp_path / 'captions.jsonl.partial'
    generate_captions(
        pairs, slow_run.SlowCaptioner(), 'slow', out, progress=lambda *_: shutil.copy(journal, tmp_path / 'j')
    )
    wanted = written(out)
    shutil.copy(tmp_path / 'j', journal)
    for name in missing:
        (tmp_path / name).unlink()
    generate_captions(pairs, slow_run.SlowCaptioner(), 'slow', out, resume=True)
    assert written(out) == wanted and not journal.exists()
