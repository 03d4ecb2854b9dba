import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmslg.captions.captioners.base import Captioner
from mmslg.captions.encoders.hashed import HashedTextEncoder
from mmslg.captions.generation import generate_captions
from mmslg.captions.pairs import read_pairs
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
            ('infrared', infrared, np.full((16, 20), level, dtype)),
        ):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / name), array)
    (tmp_path / 'train.json').write_text(json.dumps({'images': [image for image, *_ in images]}))
    (tmp_path / 'test.json').write_text(json.dumps({'images': [images[1][0]]}))
    return tmp_path


def test_both_tools_from_pictures_to_store(data):
    out, store = data / 'out' / 'captions.jsonl', data / 'out' / 'store.safetensors'
    made = run_tool(
        'generate.py', data / 'train.json', data / 'test.json', '--out', out, '--captioner', 'photometric'
    )
    assert made.returncode == 0, made.stderr
    assert '        2   66.7 %  foggy daylight' in made.stdout
    assert '        1   33.3 %  very dark night' in made.stdout
    assert '3/3 pairs' in made.stderr and '0:00:00 left' in made.stderr
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


def test_undecodable_image_ends_with_one_line(data, monkeypatch, capsys):
    (data / 'infrared' / '1.png').write_bytes(b'no image')
    out = data / 'captions.jsonl'
    tool = str(ROOT / 'tools' / 'captions' / 'generate.py')
    monkeypatch.setattr(sys, 'argv', [tool, str(data / 'train.json'), '--out', str(out)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(tool, run_name='__main__')
    assert caught.value.code == 1 and not out.exists()
    errors = [line for line in capsys.readouterr().err.splitlines() if 'pairs, ' not in line]
    assert len(errors) == 1 and errors[0].startswith('error: ') and str(Path('infrared/1.png')) in errors[0]


@pytest.mark.parametrize('workers', [1, 3])
def test_interrupted_run_goes_on_where_it_was(data, workers):
    pairs, out = read_pairs([data / 'train.json']), data / 'captions.jsonl'
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
    generate_captions(read_pairs([data / 'test.json']), CountingCaptioner(), 'counting', out)
    captioner = CountingCaptioner()
    pairs = read_pairs([data / 'train.json'])
    assert len(generate_captions(pairs, captioner, 'counting', out, resume=True).records) == 3
    assert captioner.calls == 2
    kept = generate_captions(pairs[:1], captioner, 'counting', out, resume=True)
    assert len(kept.records) == 3 and captioner.calls == 2
    assert len(generate_captions(pairs[:1], captioner, 'counting', out).records) == 1


def test_resume_refuses_another_captioner(data):
    pairs, out = read_pairs([data / 'train.json']), data / 'captions.jsonl'
    generate_captions(pairs, CountingCaptioner(), 'counting', out)
    before = out.read_bytes()
    with pytest.raises(InputError, match=r'was captioned by counting 1, and other 1 would go on'):
        generate_captions(pairs, CountingCaptioner(), 'other', out, resume=True)
    assert out.read_bytes() == before


def test_pairs_find_their_files(data):
    pairs = {pair.key: pair for pair in read_pairs([data / 'train.json', data / 'test.json'])}
    assert len(pairs) == 3
    assert pairs['2_visible.png'].infrared == data / 'infrared' / '2_lwir.png'
    chosen = read_pairs([data / 'test.json'], visible=data / 'infrared', infrared=data / 'visible')
    assert chosen[0].visible == data / 'infrared' / '1.png'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('[]', "bad.json: wanted COCO-form annotations with a list 'images'"),
        ('{"images": {}}', "bad.json: wanted COCO-form annotations with a list 'images'"),
        ('{"images": [{"id": 1}]}', "bad.json: image 0 has no 'file_name'"),
        ('{"images": [{"file_name": 3}]}', 'bad.json: image 0: wanted a file name'),
        ('{"images": []}', 'hold no images'),
    ],
)
def test_broken_annotations_are_refused(data, text, message):
    (data / 'bad.json').write_text(text)
    with pytest.raises(InputError, match=message):
        read_pairs([data / 'bad.json'])


def test_missing_folder_and_two_meanings_of_a_name_are_refused(data):
    with pytest.raises(InputError, match=r'none: no such folder, wanted the visible images; .* --visible'):
        read_pairs([data / 'test.json'], visible=data / 'none')
    other = data / 'other'
    for folder in ('visible', 'infrared'):
        (other / folder).mkdir(parents=True)
    (other / 'test.json').write_text((data / 'test.json').read_text())
    with pytest.raises(InputError, match=r'1\.png is .* but .* in an earlier file'):
        read_pairs([data / 'test.json', other / 'test.json'])


def test_every_caption_is_on_disk_before_the_next(data):
    out, lines = data / 'captions.jsonl', []
    partial = data / 'captions.jsonl.partial'

    def report(done, total):
        lines.append(partial.read_bytes().count(b'\n') if done else 0)

    generate_captions(
        read_pairs([data / 'train.json']), CountingCaptioner(), 'counting', out, progress=report
    )
    assert lines == [0, 1, 2, 3]
