"""The converters as users run them."""

import json

import pytest
from conversion.folders import MAKERS, dronevehicle, llvip


@pytest.mark.parametrize('dataset', MAKERS)
def test_a_folder_is_converted_in_place_and_again(dataset, tmp_path, run_tool):
    root = MAKERS[dataset](tmp_path)
    first = run_tool('tools/convert.py', dataset, root)
    assert first.returncode == 0 and first.stderr == '', first.stderr
    assert first.stdout.startswith('recognised: ') and 'data_prefix=dict(img=' in first.stdout
    assert 'written: ' in first.stdout and (root / 'manifest.json').is_file()
    before = {p: p.read_bytes() for p in root.glob('*.json')}
    second = run_tool('tools/convert.py', dataset, root)
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
def test_another_folder_is_refused_in_one_line(dataset, tmp_path, run_tool):
    process = run_tool('tools/convert.py', dataset, tmp_path)
    assert process.returncode == 1 and 'so this is no folder of' in process.stderr
    assert process.stderr.count('\n') == 1
    process = run_tool('tools/convert.py', dataset, tmp_path / 'absent')
    assert (
        process.returncode == 1
        and process.stderr.startswith('error: ')
        and 'no such folder' in process.stderr
    )


def test_out_that_is_a_file_is_refused(tmp_path, run_tool):
    root = llvip(tmp_path / 'data', size=(64, 48))
    (tmp_path / 'out').write_text('')
    process = run_tool('tools/convert.py', 'llvip', root, '--out', tmp_path / 'out')
    assert process.returncode == 1 and '--out should be a folder' in process.stderr
