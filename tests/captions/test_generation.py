import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from captions.annotated import pairs_of, write_annotations

from mmslg.captions.captioners.base import Captioner, CaptionFailure
from mmslg.captions.generation import generate_captions
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
    return pairs_of(write_annotations(tmp_path / 'many.json', images, (8, 8)))


def files_beside(out):
    return sorted(path.name for path in out.parent.iterdir() if path.name.startswith(out.name))


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


def test_failures_are_in_order_and_yield_to_captions(many, tmp_path):
    out, failed = tmp_path / 'captions.jsonl', tmp_path / 'captions.jsonl.failed.jsonl'
    with pytest.raises(InputError, match='interrupted'):
        generate_captions(many, NamingCaptioner(num=4, failing=[2, 3]), 'naming', out)
    result = generate_captions(many, NamingCaptioner(failing=[7, 3]), 'naming', out, resume=True, workers=4)
    assert [failure.file_name for failure in result.failures] == ['03.png', '07.png']
    listed = [json.loads(line)['file_name'] for line in failed.read_text().splitlines()]
    assert listed == ['03.png', '07.png']
    assert list(read_captions(out)) == [pair.key for pair in many if pair.key not in listed]


def test_captions_of_an_unfinished_run_are_not_overwritten(many, tmp_path):
    out, journal = tmp_path / 'captions.jsonl', tmp_path / 'captions.jsonl.partial'
    with pytest.raises(InputError, match='interrupted'):
        generate_captions(many, NamingCaptioner(num=2), 'naming', out)
    before = journal.read_bytes()
    with pytest.raises(InputError, match=r'partial: .* unfinished run; go on .* --resume, or choose another'):
        generate_captions(many, NamingCaptioner(), 'naming', out)
    assert files_beside(out) == ['captions.jsonl.partial'] and journal.read_bytes() == before


@pytest.mark.parametrize('name', ['naming', 'other'])
def test_finished_captions_are_not_overwritten(many, tmp_path, name):
    out = tmp_path / 'captions.jsonl'
    generate_captions(many, NamingCaptioner(), 'naming', out)
    before, captioner = out.read_bytes(), NamingCaptioner()
    message = r'captions\.jsonl: holds 11 captions by naming 1; go on .* --resume, or choose another --out$'
    with pytest.raises(InputError, match=message):
        generate_captions(many, captioner, name, out)
    assert out.read_bytes() == before and not captioner.seen and files_beside(out) == ['captions.jsonl']


def test_a_file_that_is_no_captions_file_is_not_overwritten(many, tmp_path):
    out = tmp_path / 'visible' / '00.png'
    before = out.read_bytes()
    for resume in (False, True):
        with pytest.raises(InputError, match=r'00\.png.*(is no captions file|line 1: not)') as caught:
            generate_captions(many, NamingCaptioner(), 'naming', out, resume)
        assert '\n' not in str(caught.value)
    assert out.read_bytes() == before and files_beside(out) == ['00.png']


def test_nothing_stays_of_a_run_that_did_nothing(many, tmp_path):
    out = tmp_path / 'captions.jsonl'
    with pytest.raises(InputError, match='interrupted'):
        generate_captions(many, NamingCaptioner(num=0), 'naming', out)
    assert files_beside(out) == []


def test_two_runs_do_not_share_a_journal(many, tmp_path):
    out = tmp_path / 'captions.jsonl'

    def second(done, total):
        if done in (0, 3):
            with pytest.raises(InputError, match=r'partial: another run is writing it'):
                generate_captions(many, NamingCaptioner(), 'naming', out, resume=True)

    assert len(generate_captions(many, NamingCaptioner(), 'naming', out, progress=second).records) == 11


def test_a_broken_line_of_the_journal_is_named_and_nothing_is_thrown_away(many, tmp_path):
    out, journal = tmp_path / 'captions.jsonl', tmp_path / 'captions.jsonl.partial'
    with pytest.raises(InputError, match='interrupted'):
        generate_captions(many, NamingCaptioner(num=3), 'naming', out)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b''.join([lines[0], lines[1][:20] + b'\n', lines[2]]))
    with pytest.raises(InputError, match=r'partial, line 2: not valid JSON .*; mend the line or remove it$'):
        generate_captions(many, NamingCaptioner(), 'naming', out, resume=True)
    journal.write_bytes(lines[0] + lines[2])
    captioner = NamingCaptioner()
    generate_captions(many, captioner, 'naming', out, resume=True)
    gone = int(json.loads(lines[1])['file_name'][:2])  # threads end in any order
    assert captioner.seen == [gone, *range(3, 11)] and len(read_captions(out)) == 11


@pytest.mark.parametrize('cut', range(1, 12))
def test_a_journal_cut_at_any_byte_of_a_line_goes_on(many, tmp_path, cut):
    whole, out = tmp_path / 'whole.jsonl', tmp_path / 'captions.jsonl'
    generate_captions(many, NamingCaptioner(failing=[2]), 'naming', whole)
    with pytest.raises(InputError, match='interrupted'):
        generate_captions(many, NamingCaptioner(num=4, failing=[2]), 'naming', out)
    journal = tmp_path / 'captions.jsonl.partial'
    content = journal.read_bytes()
    journal.write_bytes(content[: len(content) * cut // 12])
    generate_captions(many, NamingCaptioner(failing=[2]), 'naming', out, resume=True)
    assert out.read_bytes() == whole.read_bytes()
    assert files_beside(out) == ['captions.jsonl', 'captions.jsonl.failed.jsonl']


def test_a_first_line_torn_is_no_caption(many, tmp_path):
    out = tmp_path / 'captions.jsonl'
    (tmp_path / 'captions.jsonl.partial').write_bytes(b'{"file_name": "0')
    assert len(generate_captions(many, NamingCaptioner(), 'naming', out).records) == 11


def test_a_full_disk_leaves_nothing_of_a_run_that_did_nothing(many, full_disk):
    out = full_disk / 'captions.jsonl'
    with pytest.raises(InputError, match=r'partial: the disk is full'):
        generate_captions(many, NamingCaptioner(), 'naming', out)
    assert files_beside(out) == []


def test_a_disk_that_gets_full_keeps_whole_lines(many, full_disk):
    out, journal = full_disk / 'captions.jsonl', full_disk / 'captions.jsonl.partial'
    os.truncate(full_disk / 'filler', (full_disk / 'filler').stat().st_size - 4096)
    captioner = NamingCaptioner()
    captioner.details = dict(note='x' * 600)
    with pytest.raises(InputError, match=r'partial: the disk is full'):
        generate_captions(many, captioner, 'naming', out)
    content = journal.read_bytes()
    assert content.endswith(b'\n') and len(content) < 4096 - 10
    (full_disk / 'filler').unlink()
    captioner.seen.clear()
    assert len(generate_captions(many, captioner, 'naming', out, resume=True).records) == 11
    kept = {int(json.loads(line)['file_name'][:2]) for line in content.splitlines()}
    assert kept and kept.isdisjoint(captioner.seen) and kept | {*captioner.seen} == {*range(11)}


def test_pairs_of_two_sizes_are_named(many, tmp_path):
    cv2.imwrite(str(tmp_path / 'infrared' / '05.png'), np.zeros((8, 9), np.uint8))
    message = r'^05\.png: the visible image is 8x8 pixels, the infrared one 9x8; register and resize'
    with pytest.raises(InputError, match=message):
        generate_captions(many, NamingCaptioner(), 'naming', tmp_path / 'captions.jsonl')
    cv2.imwrite(str(tmp_path / 'visible' / '05.png'), np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r'^05\.png: the images are 9x8 pixels, the annotations say 8x8'):
        generate_captions(many, NamingCaptioner(), 'naming', tmp_path / 'captions.jsonl', resume=True)


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


def test_captioning_needs_no_torch():
    code = (
        'import sys; sys.modules.update(torch=None);'
        'import mmslg.captions.generation, mmslg.captions.report, mmslg.captions.variants'
    )
    made = subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr


def test_photometric_needs_no_heavy_package():
    code = (
        'import sys, mmslg.captions.captioners.photometric;'
        'print([n for n in ("transformers", "openai") if n in sys.modules])'
    )
    made = subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert made.stdout == '[]\n'
