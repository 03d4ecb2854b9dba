"""tools/reproduce.py: tables whose rows were tested on different images, or logged different things."""

import json

import pytest
from cells_at_once import in_tool
from helpers import TINY, iterations, make_pairs, write_leaf

from reproduction import evidence


def keep(cell, data, images, *logged):
    """Leave in a cell that its test found the boxes of some images, and what its training logged."""
    found = [dict(a, score=0.9) for a in data['annotations'] if a['image_id'] in images]
    (cell / 'detections.bbox.json').write_text(json.dumps(found))
    log = cell / 'train/20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(''.join(json.dumps(row) + '\n' for row in ({'loss': 3.0, 'iter': 1, 'step': 1}, *logged)))


@pytest.fixture
def table(pairs, tmp_path, monkeypatch, capsys, commands):
    """Words for a table of four rows whose cells are done: the base and two on its images, one on others."""
    other = make_pairs(tmp_path / 'other')
    truth = {folder: json.loads((folder / 'annotations_test.json').read_text()) for folder in (pairs, other)}
    for image in truth[pairs]['images']:
        image['time'] = 'day' if image['id'] == 1 else 'night'
    for folder, data in truth.items():
        (folder / 'annotations_test.json').write_text(json.dumps(data))
    configs = [write_leaf(pairs, name=f'{name}.py') for name in ('base', 'full', 'part')]
    configs.append(write_leaf(other, name='far.py'))
    (tmp_path / 'own.yaml').write_text(
        f"""
title: Own
protocol: in this test
metrics: [{{name: AP50, keys: [coco/bbox_mAP_50], scale: 100, digits: 1}}]
base: {configs[0]}
focus: AP50
curves: [{configs[0]}, {configs[1]}]
rows: [{', '.join(f'{{name: {config.stem}, config: {config}}}' for config in configs)}]
"""
    )
    words = [tmp_path / 'own.yaml', '--seeds', 0, '--work-dir', tmp_path, '--cfg-options']
    words += [*TINY, *iterations(2)]
    assert not in_tool(monkeypatch, capsys, *words)[0]
    logged = [{'coco/bbox_mAP_50': value, 'step': n} for n, value in enumerate((0.5, 0.2))]
    keep(tmp_path / 'base/seed_0', truth[pairs], {1})
    keep(tmp_path / 'full/seed_0', truth[pairs], {1, 2, 3}, *logged)
    keep(tmp_path / 'part/seed_0', truth[pairs], {1, 2})
    keep(tmp_path / 'far/seed_0', truth[other], {1, 2, 3})
    return words


def test_rows_that_have_not_all_in_common(table, tmp_path, monkeypatch, capsys):
    """No training is lost by it: what cannot be said of a row is left out."""
    sampled, drawn = [], evidence.sample
    monkeypatch.setattr(evidence, 'sample', lambda runs: sampled.append(runs) or drawn(runs, resamples=50))
    code, page, err = in_tool(monkeypatch, capsys, '--report', *table)
    assert not code, err
    lines = page.splitlines()
    differences = [line for line in lines if line.startswith(('| full | +', '| part | +'))]
    assert len(differences) == 4  # over all, and by condition
    assert 'Not compared, since they were tested on other annotations: far.' in lines
    assert len(sampled) == 3 * 3  # over all, by day and by night; the base once each
    # By day all three find the only box, by night the base none of two, the others both and one.
    assert differences[2].startswith('| full | +0.0 (images +0.0 to +0.0) | +100.0 (images +100.0 to +100.0)')
    assert differences[3].startswith('| part | +0.0 (images +0.0 to +0.0) | +50.0 (images +0.0 to +100.0)')
    assert '|  | time day (1) | time night (2) |' in lines and '| base | 100.0 | 0.0 |' in lines
    falls = lines[lines.index('## How smoothly it trains') :]
    assert '| full | 30.0 |' in falls and not any(line.startswith('| base |') for line in falls)
    assert (tmp_path / 'own_convergence.png').is_file()


def test_a_row_may_lack_a_condition(table, tmp_path, monkeypatch, capsys):
    file = tmp_path / 'other/annotations_test.json'
    data = json.loads(file.read_text())
    for image in data['images']:
        image['time'] = 'day' if image['id'] < 3 else 'dusk'
    file.write_text(json.dumps(data))
    monkeypatch.setattr('reproduction.cells.check_folder', lambda *_: True)
    monkeypatch.setattr(evidence, '_differences', lambda *_: {})
    code, page, err = in_tool(monkeypatch, capsys, '--report', *table)
    assert not code, err
    assert '|  | time day (1 or 2) | time night (2) | time dusk (1) |' in page
    assert '| base | 100.0 | 0.0 | – |' in page and '| far | 100.0 | – | 100.0 |' in page
