"""Mutated annotation files: a clean result or one clear line, never a traceback, a hang or a stray file."""

import json
import random
import time

import pytest
from conversion.folders import BOMB, CAR, convert, verify, voc, write, write_image

from mmslg.errors import InputError

COCO = json.dumps(
    dict(
        images=[
            dict(id=1, file_name='FLIR_09019.jpg', file_name_lwir='FLIR_09019.jpg', width=640, height=512)
        ],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[1, 2, 30, 40], area=1200)],
        categories=[dict(id=1, name='car')],
    )
)
BBGT = '% bbGt version=3\nperson 505 212 20 50 0 0 0 0 0 0 0\npeople 5.5 2 2 5 1 0 0 0 0 1 0\n'
KAIST_XML = (
    '<annotation><object><name>person</name><bndbox><x>1</x><y>2</y><w>3</w><h>40</h></bndbox>'
    '<occlusion>1</occlusion></object></annotation>'
)
XML = '<?xml version="1.0" encoding="utf-8"?>' + voc([('person', (1, 2, 30, 40)), ('car', CAR)], (640, 512))
HUGE = (
    '9' * 400,
    '1e308',
    '-1e999',
    'nan',
    'NaN',
    'inf',
    '-Infinity',
    '0x10',
    '1_0',
    '',
    ' ',
    '٣',
    '1e-9',
    '1e5',
)
# ruff: noqa: E501
TOKENS = (
    *('<!DOCTYPE a [<!ENTITY x "y">]>', '&x;', '&#0;', '&#x110000;', '<![CDATA[', ']]>', '<!--', '<', '>', '"'),
    *('\0', '../../../etc/passwd', '/etc/passwd', 'C:\\x', '\u202e', '[', '{', '{"a":' * 50, '[' * 3000, '\n' * 9),
    *('<object/>', '<object><name>car</name></object>', '<a>' * 40, 'NaN', 'null', 'true', '% bbGt version=3\n'),
)  # fmt: skip
ENCODINGS = ('utf-16', 'utf-16-be', 'utf-32', 'latin-1', 'gbk', 'cp037', 'utf-8-sig')


def mutate(text, rng):
    """Return the bytes of a damaged copy."""
    for _ in range(rng.choice((1, 1, 2))):
        kind = rng.randrange(8)
        at = rng.randrange(len(text) + 1)
        if kind == 0:
            text = text[:at]
        elif kind == 1:
            text = text[:at] + rng.choice(TOKENS) + text[at:]
        elif kind == 2:
            numbers = [i for i, c in enumerate(text) if c.isdigit()]
            if numbers:
                i = rng.choice(numbers)
                text = text[:i] + rng.choice(HUGE) + text[i + 1 :]
        elif kind in (6, 7):
            numbers = [i for i, c in enumerate(text) if c.isdigit()]
            if numbers:
                i = rng.choice(numbers)
                text = text[:i] + str(rng.choice((0, 7, 99, -5, 2.5))) + text[i + 1 :]
        elif kind == 3:
            text = text[:at] + text[at + rng.randint(1, 60) :]
        elif kind == 4:
            text = text[:at] + text[at : at + 80] * rng.choice((2, 3, 50)) + text[at:]
        else:
            text = text[:at] + rng.choice('<>/&;"\'{}[]:,-. \n\t%é图') + text[at + 1 :]
    if rng.random() < 0.1:
        return text.encode(rng.choice(ENCODINGS), 'replace')
    data = bytearray(text.encode('utf-8', 'replace'))
    if data and rng.random() < 0.15:
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def cases():
    """The label files that a folder of labels alone needs, for each form of each dataset."""
    return {
        'flir': ('flir', XML, 'Annotations/FLIR_09019_PreviewData.xml'),
        'flir-coco': ('flir', COCO, 'val.json'),
        'llvip': ('llvip', XML, 'Annotations/190001.xml'),
        'kaist': ('kaist', BBGT, 'annotations/set06_V000_I00019.txt'),
        'kaist-xml': ('kaist', KAIST_XML, 'annotations-xml/set06/V000/I00019.xml'),
        'dronevehicle': ('dronevehicle', XML, 'train/trainlabelr/00001.xml'),
        'm3fd': ('m3fd', XML, 'Annotation/00001.xml'),
        'm3fd-coco': ('m3fd', COCO, 'instances_train.json'),
    }


@pytest.fixture
def folder(tmp_path):
    import numpy as np

    grey = np.full((48, 64), 90, np.uint8)
    grey[9:20, 9:30] = 30

    def make(case):
        dataset, text, name = cases()[case]
        root = tmp_path / 'data'
        if dataset == 'llvip':
            for modality in ('visible', 'infrared'):
                write_image(root / modality / 'test/190001.jpg', grey)
        write(root / name, text)
        return dataset, root, root / name, text

    return make


def outcome(call):
    """Return 'ok' or the line of the refusal; anything else is raised."""
    try:
        call()
    except InputError as error:
        line = str(error)
        assert '\n' not in line and len(line) < 600, line
        return line
    return 'ok'


@pytest.mark.parametrize('case', cases())
def test_mutated_files_in_process(case, folder, tmp_path):
    dataset, root, label, text = folder(case)
    assert outcome(lambda: convert(dataset, root, tmp_path / 'out')) == 'ok'
    before = {p for p in tmp_path.rglob('*') if tmp_path / 'out' not in p.parents}
    rng = random.Random(f'7 {case}')
    results = []
    start = time.monotonic()
    for n in range(2000):
        data = mutate(text, rng)
        label.unlink()  # files are made anew: rewriting one in place waits for the disk
        label.write_bytes(data)
        out = tmp_path / 'out' / str(n)
        result = outcome(lambda out=out: convert(dataset, root, out))
        results.append(result)
        if result != 'ok':
            assert str(root) in result, result
        elif n % 5 == 0:
            verify_data = outcome(lambda: verify(dataset, root))
            assert verify_data == 'ok' or str(root) in verify_data
            for name in ('train', 'test'):
                path = out / f'annotations_{name}.json'
                if path.is_file():
                    json.loads(path.read_text(), parse_constant=lambda c: pytest.fail(f'{c} in the output'))
    assert time.monotonic() - start < 60
    assert {p for p in tmp_path.rglob('*') if tmp_path / 'out' not in p.parents} == before
    assert 90 < results.count('ok') < 1900  # both outcomes are really tried


def test_mutated_files_through_the_tools(folder, tmp_path, run_tool, run_quickly):
    rng = random.Random(11)
    for case in cases():
        if (tmp_path / 'data').exists():
            (tmp_path / 'data').rename(tmp_path / f'data-{case}')
        dataset, root, label, text = folder(case)
        out = tmp_path / f'out-{case}'
        for content in (BOMB.encode(), mutate(text, rng), mutate(text, rng), b'\xff' * 100):
            label.write_bytes(content)
            run = run_tool if case == 'flir' and content == BOMB.encode() else run_quickly
            process = run('tools/convert.py', dataset, root, '--out', out)
            lines = process.stderr.strip().splitlines()
            assert process.returncode in (0, 1) and 'Traceback' not in process.stderr, process.stderr
            assert len(lines) <= 1, process.stderr
            assert process.returncode == 0 or lines[0].startswith('error: ')
            if content in (BOMB.encode(), b'\xff' * 100):
                assert process.returncode == 1 and str(root) in lines[0]
        names = {f'annotations_{split}.json' for split in ('train', 'test', 'all')}
        assert {p.name for p in out.glob('*')} <= names | {'manifest.json'}
