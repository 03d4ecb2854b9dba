import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmslg.captions.captioners.base import Captioner, CaptionFailure
from mmslg.captions.generation import generate_captions, shard_from_environment
from mmslg.captions.pairs import read_pairs
from mmslg.captions.schema import StructuredCaption, read_captions
from mmslg.errors import InputError

ROOT = Path(__file__).parents[2]


class NamingCaptioner(Captioner):
    """Says the brightness, at most ``num`` times; the pairs in ``failing`` fail."""

    version = '1'

    def __init__(self, num=1000, failing=(), batch_size=1):
        self.num, self.failing, self.batch_size = num, failing, batch_size
        self.seen = []

    def caption(self, visible, infrared):
        level = int(visible[0, 0, 0])
        if len(self.seen) == self.num:
            raise InputError('interrupted')
        self.seen.append(level)
        if level in self.failing:
            raise CaptionFailure(f'{level} is\nno good', 'what?')
        return StructuredCaption('clear daylight', 'highway', f'{level} vehicles', 'thermal crossover')


@pytest.fixture
def many(tmp_path):
    """Eleven pairs, the brightness of each is its number."""
    images = [{'file_name': f'{i:02d}.png'} for i in range(11)]
    for i, image in enumerate(images):
        for folder in ('visible', 'infrared'):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / image['file_name']), np.full((8, 8, 3), i, np.uint8))
    (tmp_path / 'many.json').write_text(json.dumps({'images': images}))
    return read_pairs([tmp_path / 'many.json'])


def files_beside(out):
    return sorted(path.name for path in out.parent.iterdir() if path.name.startswith(out.name))


def test_shards_are_merged_by_whichever_ends_last(many, tmp_path):
    out, plain = tmp_path / 'captions.jsonl', tmp_path / 'plain.jsonl'
    generate_captions(many, NamingCaptioner(failing=[4]), 'naming', plain)
    captioners = {rank: NamingCaptioner(failing=[4], batch_size=2) for rank in (1, 0, 2)}
    results = [
        generate_captions(many, captioner, 'naming', out, rank=rank, world=3)
        for rank, captioner in captioners.items()
    ]
    assert [result.whole for result in results] == [False, False, True]
    assert [captioner.seen for captioner in captioners.values()] == [[1, 4, 7, 10], [0, 3, 6, 9], [2, 5, 8]]
    assert out.read_bytes() == plain.read_bytes() and len(results[-1].records) == 10
    assert files_beside(out) == ['captions.jsonl', 'captions.jsonl.failed.jsonl']


@pytest.mark.parametrize('worlds', [(3, 2), (2, 5), (4, 1), (1, 3), (2, 2)])
def test_interrupted_shards_go_on_in_another_number_of_processes(many, tmp_path, worlds):
    out, seen = tmp_path / 'captions.jsonl', []
    for rank in range(worlds[0]):
        captioner = NamingCaptioner(num=1)
        with pytest.raises(InputError, match='interrupted'):
            generate_captions(many, captioner, 'naming', out, rank=rank, world=worlds[0])
        seen += captioner.seen
    journal = tmp_path / f'captions.jsonl.partial-0-of-{worlds[0]}'
    with (journal if worlds[0] > 1 else tmp_path / 'captions.jsonl.partial').open('ab') as file:
        file.write(b'{"file_name": "0')
    results = []
    for rank in range(worlds[1]):
        captioner = NamingCaptioner()
        results.append(generate_captions(many, captioner, 'naming', out, True, rank=rank, world=worlds[1]))
        seen += captioner.seen
    assert sorted(seen) == list(range(11))
    assert [result.whole for result in results] == [False] * (worlds[1] - 1) + [True]
    assert [record.caption.objects for record in read_captions(out).values()] == [
        f'{i} vehicles' for i in range(11)
    ]
    assert files_beside(out) == ['captions.jsonl']


def test_failures_are_listed_and_tried_again_by_resume(many, tmp_path):
    out = tmp_path / 'captions.jsonl'
    failed = tmp_path / 'captions.jsonl.failed.jsonl'
    result = generate_captions(many, NamingCaptioner(failing=[3, 7]), 'naming', out)
    assert [failure.file_name for failure in result.failures] == ['03.png', '07.png']
    assert len(result.records) == len(read_captions(out)) == 9
    assert json.loads(failed.read_text().splitlines()[0]) == {
        'file_name': '03.png',
        'failure': '3 is no good',
        'answer': 'what?',
        'captioner': 'naming',
        'version': '1',
    }
    # Failures of images that this run is not about stay listed.
    captioner = NamingCaptioner()
    generate_captions(many[:5], captioner, 'naming', out, resume=True)
    assert captioner.seen == [3] and '07.png' in failed.read_text() and '03.png' not in failed.read_text()
    generate_captions(many, NamingCaptioner(failing=[7]), 'naming', out, resume=True)
    assert len(failed.read_text().splitlines()) == 1
    assert len(generate_captions(many, NamingCaptioner(), 'naming', out, resume=True).records) == 11
    assert files_beside(out) == ['captions.jsonl']


def test_failure_of_an_earlier_process_does_not_outlive_success(many, tmp_path):
    out = tmp_path / 'captions.jsonl'
    generate_captions(many, NamingCaptioner(failing=[3]), 'naming', out, rank=1, world=2)
    result = generate_captions(many, NamingCaptioner(), 'naming', out, resume=True)
    assert len(result.records) == 11 and not result.failures
    assert files_beside(out) == ['captions.jsonl']


def test_unfinished_run_is_not_overwritten(many, tmp_path):
    out = tmp_path / 'captions.jsonl'
    with pytest.raises(InputError, match='interrupted'):
        generate_captions(many, NamingCaptioner(num=2), 'naming', out)
    for world in (1, 2):
        with pytest.raises(InputError, match=r'partial: .* unfinished run; go on with --resume, or delete'):
            generate_captions(many, NamingCaptioner(), 'naming', out, world=world)
    assert files_beside(out) == ['captions.jsonl.partial', 'captions.jsonl.partial.lock']


def test_nothing_stays_of_a_run_that_did_nothing(many, tmp_path):
    out = tmp_path / 'captions.jsonl'
    with pytest.raises(InputError, match='interrupted'):
        generate_captions(many, NamingCaptioner(num=0), 'naming', out)
    assert files_beside(out) == []


def test_two_runs_do_not_share_a_journal(many, tmp_path, monkeypatch):
    monkeypatch.setattr('mmslg.captions.journal.LOCK_PATIENCE', 0.2)
    out = tmp_path / 'captions.jsonl'

    def second(done, total):
        if done == 3:
            with pytest.raises(InputError, match=r'partial: another process is writing it'):
                generate_captions(many, NamingCaptioner(), 'naming', out, resume=True)

    assert len(generate_captions(many, NamingCaptioner(), 'naming', out, progress=second).records) == 11


def test_process_that_ends_leaves_the_journal_of_one_at_work(many, tmp_path):
    out, results = tmp_path / 'captions.jsonl', []

    def other_ends(done, total):
        if done == total:  # everything is on disk, but this process has not let go of it
            captioner = NamingCaptioner()
            results.append(generate_captions(many, captioner, 'naming', out, rank=1, world=2).whole)

    results.append(
        generate_captions(many, NamingCaptioner(), 'naming', out, False, 1, other_ends, 0, 2).whole
    )
    assert results == [False, True]
    assert len(read_captions(out)) == 11 and files_beside(out) == ['captions.jsonl']


MODULE = """
from mmslg.captions import CaptionFailure, Captioner, StructuredCaption
from mmslg.registry import CAPTIONERS

@CAPTIONERS.register_module(name='mine')
class Mine(Captioner):
    version = '1'

    def __init__(self, word='few', bad=-1):
        self.word, self.bad = word, bad

    def caption(self, visible, infrared):
        if visible[0, 0, 0] == self.bad:
            raise CaptionFailure('too dull')
        return StructuredCaption('clear daylight', 'highway', f'{self.word} vehicles', 'thermal crossover')
"""


def test_captioner_of_a_user_is_one_class(many, tmp_path):
    (tmp_path / 'my_captioner.py').write_text(MODULE)
    out = tmp_path / 'captions.jsonl'
    command = [sys.executable, ROOT / 'tools' / 'captions' / 'generate.py', 'many.json', '--out', out]
    command += [
        '--import',
        'my_captioner',
        '--captioner',
        'mine',
        '--captioner-options',
        'word=dense',
        'bad=3',
    ]
    made = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, 'PYTHONPATH': str(ROOT)}, capture_output=True, text=True
    )
    assert made.returncode == 1 and made.stdout.endswith(f'10 captions in {out}\n')
    assert made.stderr.splitlines()[-1] == (
        f'error: pairs without a caption: 1, listed in {out}.failed.jsonl; --resume tries them again'
    )
    assert {record.caption.objects for record in read_captions(out).values()} == {'dense vehicles'}


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--model', 'x'], "captioner 'photometric': got an unexpected keyword argument 'model'"),
        (['--captioner', 'openai'], "captioner 'openai': missing a required argument: 'model'"),
        (['--import', 'no_such_module'], '--import no_such_module: No module named'),
    ],
)
def test_options_that_do_not_fit_end_with_one_line(many, tmp_path, monkeypatch, capsys, options, message):
    tool = str(ROOT / 'tools' / 'captions' / 'generate.py')
    arguments = [str(tmp_path / 'many.json'), '--out', str(tmp_path / 'captions.jsonl'), *options]
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(tool, run_name='__main__')
    errors = capsys.readouterr().err
    assert caught.value.code == 1 and len(errors.splitlines()) == 1 and message in errors


@pytest.mark.parametrize(('rank', 'world'), [('2', '2'), ('-1', '2'), ('a', '2'), ('0', 'b')])
def test_bad_rank_is_refused(many, tmp_path, monkeypatch, rank, world):
    monkeypatch.setenv('RANK', rank)
    monkeypatch.setenv('WORLD_SIZE', world)
    with pytest.raises(InputError, match='RANK'):
        rank, world = shard_from_environment()
        generate_captions(many, NamingCaptioner(), 'naming', tmp_path / 'c.jsonl', rank=rank, world=world)


def test_photometric_needs_no_heavy_package():
    code = 'import sys, mmslg.captions; print([n for n in ("transformers", "openai") if n in sys.modules])'
    made = subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert made.stdout == '[]\n'
