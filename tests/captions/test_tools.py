import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from captions.annotated import pairs_of, write_annotations

from mmslg.captions.captioners.base import Captioner
from mmslg.captions.encoders.hashed import HashedTextEncoder
from mmslg.captions.generation import generate_captions
from mmslg.captions.schema import StructuredCaption, read_captions
from mmslg.captions.store import CaptionStore
from mmslg.errors import InputError

ROOT = Path(__file__).parents[2]
CAPTION = StructuredCaption('clear daylight', 'highway', 'few pedestrians', 'thermal crossover')


class CountingCaptioner(Captioner):
    version = '1'

    def __init__(self, fail_at=None):
        self.calls, self.fail_at = 0, fail_at

    def caption(self, visible, infrared):
        self.calls += 1
        if self.calls == self.fail_at:
            raise InputError('out of words')
        return CAPTION


def run_tool(name, *args):
    return subprocess.run(
        [sys.executable, ROOT / 'tools' / 'captions' / name, *map(str, args)],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
    )


def run_here(monkeypatch, capsys, name, *args):
    """Run a tool in this process; return its exit code, standard output and standard error."""
    tool = str(ROOT / 'tools' / 'captions' / name)
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(tool, run_name='__main__')
    return caught.value.code, *capsys.readouterr()


@pytest.fixture
def run(monkeypatch, capsys):
    return lambda name, *args: run_here(monkeypatch, capsys, name, *args)


def one_error(ended, message):
    code, _, err = ended
    errors = [line for line in err.splitlines() if 'pairs, ' not in line]
    assert code == 1 and len(errors) == 1 and re.search(f'^error: .*{message}', errors[0]), err


@pytest.fixture
def data(tmp_path):
    """Three pairs: night with raw infrared, day, day with another name of the infrared."""
    images = [
        ({'file_name': 'sub/0.png'}, 'sub/0.png', 5, np.uint16),
        ({'file_name': '1.png'}, '1.png', 200, np.uint8),
        ({'file_name': '2_visible.png', 'file_name_lwir': '2_lwir.png'}, '2_lwir.png', 200, np.uint8),
    ]
    for image, infrared, level, dtype in images:
        for folder, name, array in (
            ('visible', image['file_name'], np.full((32, 40, 3), level, np.uint8)),
            ('infrared', infrared, np.full((32, 40), level, dtype)),
        ):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / name), array)
    write_annotations(tmp_path / 'train.json', [image for image, *_ in images])
    write_annotations(tmp_path / 'test.json', [images[1][0]])
    return tmp_path


def test_both_tools_from_pictures_to_store(data):
    out, store = data / 'out' / 'captions.jsonl', data / 'out' / 'store.safetensors'
    made = run_tool(
        'generate.py', data / 'train.json', data / 'test.json', '--out', out, '--captioner', 'photometric'
    )
    assert made.returncode == 0, made.stderr
    assert '        2   66.7 %  foggy daylight' in made.stdout
    assert '        1   33.3 %  very dark night' in made.stdout
    assert '3/3 pairs' in made.stderr and '00:00 left' in made.stderr
    records = read_captions(out)
    assert list(records) == ['sub/0.png', '1.png', '2_visible.png']
    assert records['1.png'].captioner == 'photometric' and records['1.png'].version == '1'

    encoded = run_tool('encode.py', out, '--encoder', 'hashed', '--width', 64, '--out', store)
    assert encoded.returncode == 0, encoded.stderr
    distinct = len({text for record in records.values() for text in record.caption.components()})
    assert f'3 captions, {distinct} distinct strings, pooled vectors of width 64' in encoded.stdout
    caption = records['sub/0.png'].caption
    np.testing.assert_array_equal(
        CaptionStore.open(store)['sub/0.png'], HashedTextEncoder(64).encode(caption.components())
    )
    assert sorted(entry.name for entry in out.parent.iterdir()) == ['captions.jsonl', 'store.safetensors']


def test_undecodable_image_ends_with_one_line(data, run):
    (data / 'infrared' / '1.png').write_bytes(b'no image')
    out = data / 'captions.jsonl'
    one_error(run('generate.py', data / 'train.json', '--out', out), re.escape(str(Path('infrared/1.png'))))
    assert not out.exists()


@pytest.mark.parametrize('workers', [1, 3])
def test_interrupted_run_goes_on_where_it_was(data, workers):
    pairs, out = pairs_of(data / 'train.json'), data / 'captions.jsonl'
    with pytest.raises(InputError, match='out of words'):
        generate_captions(pairs, CountingCaptioner(fail_at=3), 'counting', out, workers=workers)
    partial = data / 'captions.jsonl.partial'
    kept = partial.read_bytes().count(b'\n')
    assert not out.exists() and (kept == 2 if workers == 1 else kept <= 2)
    with partial.open('ab') as file:
        file.write(b'{"file_name": "2_vis')  # killed while writing
    captioner, counts = CountingCaptioner(), []
    records = generate_captions(
        pairs, captioner, 'counting', out, True, workers, lambda *count: counts.append(count)
    ).records
    assert captioner.calls == 3 - kept and counts[0] == (0, 3 - kept) and counts[-1] == (3 - kept, 3 - kept)
    assert [record.file_name for record in records] == [pair.key for pair in pairs]
    assert list(read_captions(out).values()) == records and not partial.exists()


def test_resume_adds_only_what_is_missing(data):
    out = data / 'captions.jsonl'
    generate_captions(pairs_of(data / 'test.json'), CountingCaptioner(), 'counting', out)
    captioner = CountingCaptioner()
    pairs = pairs_of(data / 'train.json')
    assert len(generate_captions(pairs, captioner, 'counting', out, resume=True).records) == 3
    assert captioner.calls == 2
    kept = generate_captions(pairs[:1], captioner, 'counting', out, resume=True)
    assert len(kept.records) == 3 and captioner.calls == 2


def test_resume_refuses_another_captioner(data):
    pairs, out = pairs_of(data / 'train.json'), data / 'captions.jsonl'
    generate_captions(pairs, CountingCaptioner(), 'counting', out)
    before = out.read_bytes()
    with pytest.raises(InputError, match=r'was captioned by counting 1, and other 1 would go on'):
        generate_captions(pairs, CountingCaptioner(), 'other', out, resume=True)
    assert out.read_bytes() == before


def test_pairs_of_several_files_come_once(data):
    pairs = {pair.key: pair for pair in pairs_of(data / 'train.json', data / 'test.json')}
    assert len(pairs) == 3
    assert pairs['2_visible.png'].infrared == str(data / 'infrared' / '2_lwir.png')
    write_annotations(data / 'night.json', [{'file_name': '1.png', 'time': 'night'}])
    assert [pair.time for pair in pairs_of(data / 'test.json', data / 'night.json')] == ['night']
    assert [pair.time for pair in pairs_of(data / 'night.json', data / 'test.json')] == ['night']


def test_two_meanings_of_a_name_are_refused(data):
    (data / 'other').mkdir()
    write_annotations(data / 'other' / 'test.json', [{'file_name': '1.png'}])
    with pytest.raises(InputError, match=r'1\.png is .* but .* in an earlier file'):
        pairs_of(data / 'test.json', data / 'other' / 'test.json')
    for name in ('day', 'night'):
        write_annotations(data / f'{name}.json', [{'file_name': '1.png', 'time': name}])
    with pytest.raises(InputError, match=r'night\.json: 1\.png has time=night here but day in an earlier'):
        pairs_of(data / 'day.json', data / 'night.json')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('[]', 'bad.json: wanted COCO form with the lists images'),
        ('{"images": {}}', 'bad.json: wanted COCO form with the lists images'),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', 'image number 1 lacks file_name'),
        ('{"images": [], "annotations": [], "categories": []}', 'the file lists no image'),
    ],
)
def test_broken_annotations_are_refused(data, run, text, message):
    (data / 'bad.json').write_text(text)
    one_error(run('generate.py', data / 'bad.json', '--out', data / 'c.jsonl'), message)


def test_folders_by_flag_and_missing_images(data, run):
    (data / 'lists').mkdir()
    path = write_annotations(data / 'lists' / 'test.json', [{'file_name': '1.png'}])
    one_error(
        run('generate.py', path, '--out', data / 'c.jsonl'), r'1\.png: no such visible image; 1 of 1.* --root'
    )
    for number, flags in enumerate(
        (
            ('--root', data),
            ('--visible', data / 'visible', '--infrared', data / 'infrared'),
        )
    ):
        assert run('generate.py', path, '--out', data / f'{number}.jsonl', *flags)[0] == 0
    assert (data / '0.jsonl').read_bytes() == (data / '1.jsonl').read_bytes()


def test_backslashes_and_a_place_elsewhere_are_read_as_the_dataset_reads_them(data, run):
    (data / 'lists').mkdir()
    path = write_annotations(data / 'lists' / 'a.json', [{'file_name': 'sub\\0.png'}])
    content = json.loads(path.read_text()) | {'info': {'data_root': '..'}}
    content['annotations'] = [dict(id=1, image_id=0, category_id=1, bbox=[0, 0, 0, 5])]
    content['categories'] = [dict(id=1, name='car')]
    path.write_text(json.dumps(content))
    code, out, _ = run('generate.py', path, '--out', data / 'c.jsonl', '--root', data / 'nowhere')
    assert code == 0 and 'a.json: 1 boxes without area, left out' in out and '--root does not count' in out
    assert list(read_captions(data / 'c.jsonl')) == ['sub/0.png']


def test_the_output_is_no_input(data, run, monkeypatch):
    monkeypatch.chdir(data)
    train = data / 'train.json'
    (data / 'link.json').symlink_to(train)
    os.link(train, data / 'hard.json')
    (data / 'x.partial').symlink_to(train)
    before = train.read_bytes()
    for out in ('train.json', train, './visible/../train.json', 'link.json', 'hard.json', 'x'):
        for resume in ((), ('--resume',)):
            one_error(run('generate.py', train, '--out', out, *resume), 'the output is the input')
    assert run('generate.py', 'train.json', '--out', 'c.jsonl')[0] == 0
    captions = Path('c.jsonl').read_bytes()
    Path('link.jsonl').symlink_to('c.jsonl')
    for out in ('c.jsonl', data / 'c.jsonl', 'link.jsonl'):
        one_error(run('encode.py', data / 'c.jsonl', '--out', out), 'the output is the input')
        one_error(run('report.py', data / 'c.jsonl', '--json', out), 'the output is the input')
    one_error(
        run('report.py', 'c.jsonl', '--annotations', train, '--json', 'link.json'), 'the output is the input'
    )
    assert train.read_bytes() == before and Path('c.jsonl').read_bytes() == captions


@pytest.mark.parametrize('tool', ['generate.py', 'encode.py'])
def test_outputs_that_cannot_be_written(data, run, tool):
    assert run('generate.py', data / 'test.json', '--out', data / 'c.jsonl')[0] == 0
    source = data / ('train.json' if tool == 'generate.py' else 'c.jsonl')
    before = sorted(data.rglob('*'))
    for out, message in (
        ('', 'wanted the name of a file'),
        (data, 'a folder, wanted'),
        (data / 'c.jsonl' / 'd', 'a part of the path is a file'),
        (data / ('n' * 256), 'the name is too long'),
        ('/dev/full', 'not a regular file'),
    ):
        one_error(run(tool, source, '--out', out), message)
    assert sorted(data.rglob('*')) == before
    if tool == 'generate.py':
        one_error(run(tool, source, '--out', data / ('n' * 250)), 'the name is too long')
        assert sorted(data.rglob('*')) == before


def test_report_to_a_reader_that_leaves_is_no_traceback(data, run):
    assert run('generate.py', data / 'test.json', '--out', data / 'c.jsonl')[0] == 0
    command = f'{sys.executable} {ROOT}/tools/captions/report.py {data}/c.jsonl | head -1'
    ended = subprocess.run(
        command, shell=True, env={**os.environ, 'PYTHONPATH': str(ROOT)}, capture_output=True, text=True
    )
    assert ended.stdout.startswith('1 captions by photometric 1') and ended.stdout.count('\n') == 1
    assert ended.stderr == ''


def test_every_caption_is_on_disk_before_the_next(data):
    out, lines = data / 'captions.jsonl', []
    partial = data / 'captions.jsonl.partial'

    def report(done, total):
        lines.append(partial.read_bytes().count(b'\n') if done else 0)

    generate_captions(pairs_of(data / 'train.json'), CountingCaptioner(), 'counting', out, progress=report)
    assert lines == [0, 1, 2, 3]
