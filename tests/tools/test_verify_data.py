"""tools/verify_data.py as users run it."""

import json
import shutil

import cv2
import numpy as np
import pytest
from conversion.folders import llvip, voc, write


def test_a_sound_folder(tmp_path, run_tool):
    root = llvip(tmp_path / 'data', tuple(f'0100{n:02d}' for n in range(16)))
    out = tmp_path / 'out'
    process = run_tool(
        'tools/verify_data.py',
        'llvip',
        root,
        '--json',
        out / 'a.json',
        '--plot',
        out / 'a.png',
        '--workers',
        '2',
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert 'fit to train' in process.stdout.splitlines()[-1] and '18/18 pairs' in process.stderr
    data = json.loads((out / 'a.json').read_text())
    assert data['fit_to_train'] and data['shift']['reliable'] >= 16 and len(data['checks']) > 20
    assert cv2.imread(str(out / 'a.png')).shape[1] > 600


def test_a_failing_line_says_what_to_do(tmp_path, run_tool):
    root = llvip(tmp_path)
    (root / 'infrared/train/010002.jpg').unlink()
    process = run_tool('tools/verify_data.py', 'llvip', root)
    assert process.returncode == 1
    lines = process.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith('fail'))
    assert (
        'missing-infrared' in lines[at]
        and '010002' in lines[at + 1]
        and 'to do: get the files' in lines[at + 2]
    )
    assert lines[-1].endswith('NOT fit to train: missing-infrared')


@pytest.fixture
def real(shared, tmp_path):
    for split in ('train', 'test'):
        for modality in ('visible', 'infrared'):
            source = shared / 'llvip_pairs' / modality / split
            shutil.copytree(source, tmp_path / 'd' / modality / split, copy_function=shutil.copyfile)
        for path in source.iterdir():
            write(
                tmp_path / f'd/Annotations/{path.stem}.xml', voc([('person', (9, 9, 90, 90))], (1280, 1024))
            )
    return tmp_path / 'd'


@pytest.mark.parametrize('change', ['none', 'swap', 'shift'])
def test_real_pairs_untouched_swapped_and_shifted(real, run_tool, change):
    if change == 'swap':
        (real / 'visible').rename(real / 'x')
        (real / 'infrared').rename(real / 'visible')
        (real / 'x').rename(real / 'infrared')
    if change == 'shift':
        for path in (real / 'infrared').rglob('*.jpg'):
            image = cv2.imread(str(path))
            cv2.imwrite(str(path), cv2.warpAffine(image, np.float32([[1, 0, 12], [0, 1, -7]]), (1280, 1024)))
    process = run_tool('tools/verify_data.py', 'llvip', real, '--json', real / 'a.json', '--workers', '1')
    data = json.loads((real / 'a.json').read_text())
    assert data['failed'] == dict(none=[], swap=['swapped'], shift=['misaligned'])[change], process.stdout
    assert process.returncode == (change != 'none')
    if change == 'swap':
        assert 'the folders: 16 of 16 pairs' in process.stdout
    if change == 'shift':
        assert data['shift']['beyond_usual'] == pytest.approx([12, -7], abs=1.5)


@pytest.mark.parametrize(
    ('args', 'message'), [(['--workers', '-1'], '--workers'), (['--plot', 'a.jpg'], 'a .png file')]
)
def test_unusable_options(tmp_path, run_tool, args, message):
    process = run_tool('tools/verify_data.py', 'llvip', tmp_path, *args)
    assert process.returncode == 1 and message in process.stderr and process.stderr.count('\n') == 1
