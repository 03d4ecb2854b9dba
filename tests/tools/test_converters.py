"""The converters as users run them."""

import json
import os
import sys

import pytest
from conversion.folders import MAKERS, dronevehicle, llvip


@pytest.mark.parametrize('dataset', MAKERS)
def test_a_folder_is_converted_in_place_and_again(dataset, tmp_path, run_quickly):
    root = MAKERS[dataset](tmp_path)
    first = run_quickly('tools/convert.py', dataset, root)
    assert first.returncode == 0 and first.stderr == '', first.stderr
    assert first.stdout.startswith('recognised: ') and 'data_prefix=dict(img=' in first.stdout
    assert 'written: ' in first.stdout and (root / 'manifest.json').is_file()
    before = {p: p.read_bytes() for p in root.glob('*.json')}
    second = run_quickly('tools/convert.py', dataset, root)
    assert 'written: ' not in second.stdout and second.stdout.count('unchanged: ') == len(before)
    assert {p: p.read_bytes() for p in root.glob('*.json')} == before


def test_what_policies_did_is_printed(tmp_path, run_tool):
    boxes = [('feright car', (80, 200, 140, 200, 140, 240, 80, 240)), ('*', (1, 2, 9, 2, 9, 9, 1, 9))]
    root = dronevehicle(tmp_path / 'data', ('00001',), boxes=boxes)
    process = run_tool(
        'tools/convert.py',
        'dronevehicle',
        root,
        '--out',
        tmp_path / 'out',
        '--edge',
        'drop',
        '--labels',
        'rgb',
    )
    assert process.returncode == 0, process.stderr
    for line in ('1 dropped: across the edge of the content', "1 dropped: class '*'", 'drawn in: visible'):
        assert line in process.stdout
    data = json.loads((tmp_path / 'out/annotations_train.json').read_text())
    assert data['annotations'] == [] and data['info']['edge'] == 'drop'
    assert not (root / 'manifest.json').exists()


@pytest.mark.parametrize('dataset', MAKERS)
def test_another_folder_is_refused_in_one_line(dataset, tmp_path, run_quickly):
    process = run_quickly('tools/convert.py', dataset, tmp_path)
    assert process.returncode == 1 and 'so this is no folder of' in process.stderr
    assert process.stderr.count('\n') == 1
    process = run_quickly('tools/convert.py', dataset, tmp_path / 'absent')
    assert (
        process.returncode == 1
        and process.stderr.startswith('error: ')
        and 'no such folder' in process.stderr
    )


def test_out_that_is_a_file_is_refused(tmp_path, run_quickly):
    root = llvip(tmp_path / 'data', size=(64, 48))
    (tmp_path / 'out').write_text('')
    process = run_quickly('tools/convert.py', 'llvip', root, '--out', tmp_path / 'out')
    assert process.returncode == 1 and '--out should be a folder' in process.stderr


@pytest.mark.parametrize(
    ('out', 'message'),
    [
        ('', '--out is empty'),
        (' ', '--out is empty'),
        ('file', '--out should be a folder'),
        ('file/below', 'a part of the path is a file'),
        ('o' * 300, 'the name is too long'),
        ('loop', 'a symbolic link that leads back to itself'),
        ('loop/below', 'a symbolic link that leads back to itself'),
    ],
)
def test_unusable_outputs_are_one_line_and_leave_nothing(tmp_path, run_quickly, monkeypatch, out, message):
    root = llvip(tmp_path / 'data', ('010001',), ('190001',), size=(64, 48))
    (tmp_path / 'file').write_text('')
    (tmp_path / 'loop').symlink_to('loop')
    before = sorted(tmp_path.rglob('*'))
    monkeypatch.chdir(tmp_path)
    process = run_quickly('tools/convert.py', 'llvip', root, '--out', out)
    assert process.returncode == 1 and message in process.stderr and process.stderr.count('\n') == 1
    assert sorted(tmp_path.rglob('*')) == before
    name = 'o' * 250
    process = run_quickly('tools/convert.py', 'llvip', root, '--out', name)
    assert process.returncode == 0 and len(list((tmp_path / name).iterdir())) == 3


@pytest.mark.parametrize('blocks', [0, 1, 2])
def test_a_full_disk_leaves_what_was_there(tmp_path, run_tool, blocks):
    """Files may grow to some blocks of 1024 bytes: with two, one split would fit, the other would not."""
    root = llvip(tmp_path / 'data', ('010001', '010002'), tuple(f'19000{i}' for i in range(9)), size=(64, 48))
    command = f'ulimit -f {blocks}; exec {sys.executable} tools/convert.py llvip {root} --out {tmp_path}/out'
    process = run_tool('bash', '-c', command)
    assert process.returncode == 1 and 'exceeds the largest size' in process.stderr
    assert process.stderr.count('\n') == 1 and not (tmp_path / 'out').exists()


def test_links_to_themselves_and_pipes_are_left_out_and_named(tmp_path, run_tool):
    root = llvip(tmp_path, size=(64, 48))
    for name in ('010001', '010002'):
        (root / f'visible/train/{name}.jpg').unlink()
    (root / 'visible/train/010001.jpg').symlink_to('010001.jpg')
    os.mkfifo(root / 'visible/train/010002.jpg')
    (root / 'infrared/loop').symlink_to('loop')
    process = run_tool('tools/convert.py', 'llvip', root, timeout=60)
    assert process.returncode == 0, process.stderr
    assert 'left out: 2 pairs, visible image missing: 010001, 010002' in process.stdout
    (root / 'Annotations/010003.xml').unlink()
    (root / 'Annotations/010003.xml').symlink_to('010003.xml')
    process = run_tool('tools/convert.py', 'llvip', root, timeout=60)
    assert process.returncode == 1 and process.stderr.count('\n') == 1 and '010003.xml' in process.stderr


def test_options_belong_to_datasets(tmp_path, run_quickly):
    shown = run_quickly('tools/convert.py', '--help').stdout
    assert all(f'    {dataset}' in shown for dataset in MAKERS) and '--edge' not in shown
    assert '--edge' in run_quickly('tools/convert.py', 'dronevehicle', '-h').stdout
    process = run_quickly('tools/convert.py', 'flir', tmp_path, '--edge', 'clip')
    assert process.returncode == 2 and 'unrecognized arguments: --edge clip' in process.stderr
