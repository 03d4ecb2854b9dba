"""docs/model_zoo.md is what tools/analysis/model_zoo.py writes now."""

import runpy
import sys

import pytest
from helpers import ROOT, TINY, shipped_config
from mmengine.registry import DefaultScope

from mmslg.apis.profiling import build_detector, count_parameters
from mmslg.errors import InputError
from mmslg.utils.io import read_json

SOURCE = ROOT / 'tools' / 'analysis' / 'model_zoo.py'


@pytest.fixture(scope='module')
def zoo():
    return runpy.run_path(str(SOURCE), run_name='zoo')


@pytest.fixture(scope='module')
def figures(zoo):
    return read_json(zoo['FIGURES'])


@pytest.fixture(scope='module')
def page(zoo, figures):
    page = zoo['format_page'](zoo['read_rows'](), figures)
    DefaultScope._instance_dict.clear()
    return page


@pytest.fixture(scope='module')
def rows(zoo, page):
    """Cells by the name of the config."""
    lines = [line.strip('| ').split(' | ') for line in page.splitlines() if line.startswith('| [')]
    return {cells[0][1:].split(']')[0]: dict(zip(zoo['COLUMNS'], cells)) for cells in lines}


def test_the_page_is_not_stale(zoo, page):
    assert zoo['PAGE'].read_text() == page, 'write it anew: python tools/analysis/model_zoo.py'


def test_a_stale_page_is_refused(zoo, page, tmp_path, monkeypatch, capsys):
    def run(*args):
        monkeypatch.setattr(sys, 'argv', ['model_zoo.py', *args])
        zoo['main']()

    variables = zoo['main'].__globals__
    monkeypatch.setitem(variables, 'format_page', lambda *args: page)
    monkeypatch.setitem(variables, 'read_rows', dict)
    monkeypatch.setitem(variables, 'PAGE', tmp_path / 'model_zoo.md')
    with pytest.raises(InputError, match='stale; write it anew'):
        run('--check')
    run()
    assert capsys.readouterr().out.startswith(
        f'{len([ln for ln in page.splitlines() if ln[:3] == "| ["])} mod'
    )
    run('--check')
    (tmp_path / 'model_zoo.md').write_text(page.replace('86.72', '86.71', 1))
    with pytest.raises(InputError, match='stale; write it anew'):
        run('--check')


def test_every_config_but_the_ablations_is_there(page):
    configs = ROOT / 'configs'
    shipped = [*configs.glob('slgnet_*.py'), *configs.glob('heads/*.py'), *configs.glob('trunks/*.py')]
    assert len(shipped) >= 39
    assert [path for path in shipped if f'(../{path.relative_to(ROOT)})' not in page] == []


def test_what_the_cells_say(rows):
    heads = {row['head'] for row in rows.values()}
    assert heads == {
        'DINO', 'DDQ-DETR', 'Deformable DETR', 'Cascade R-CNN', 'Faster R-CNN', 'RetinaNet', 'ATSS', 'GFL',
        'FCOS', 'RTMDet', 'Oriented R-CNN', 'RoI-Transformer', 'S2A-Net', 'Rotated RetinaNet', 'Rotated FCOS',
        'Rotated ATSS', 'Rotated RTMDet',
    }  # fmt: skip
    on_gpus = {name for name, row in rows.items() if row['trains on a CPU'].startswith('no: RotatedIoULoss')}
    assert on_gpus == {f'slgnet_dronevehicle_rotated_{head}' for head in ('atss', 'fcos', 'rtmdet')}
    assert {row['trains on a CPU'] for name, row in rows.items() if name not in on_gpus} == {'yes'}
    oriented = {name for name, row in rows.items() if row['boxes'] == 'oriented'}
    assert oriented == {name for name in rows if 'dronevehicle' in name or 'oriented' in name}
    flir = rows['slgnet_flir']
    assert (flir['paper-reported'], flir['measured']) == ('mAP 45.1, mAP50 85.8', 'not run')
    reported = {name for name, row in rows.items() if row['paper-reported'] != '-'}
    assert reported == {f'slgnet_{name}' for name in ('flir', 'llvip', 'kaist', 'dronevehicle')}


def test_parameters_are_those_of_the_model_with_values(rows):
    total = count_parameters(build_detector(shipped_config('slgnet_mini_oriented.py')))[-1]
    DefaultScope._instance_dict.clear()
    row = rows['slgnet_mini_oriented']
    assert (row['trainable M'], row['frozen M']) == (
        f'{total.trainable / 1e6:.2f}',
        f'{total.frozen / 1e6:.2f}',
    )


def test_a_cost_belongs_to_a_model_whatever_its_weights_and_classes(zoo):
    key = zoo['model_key']
    cfg = shipped_config('slgnet_flir.py')
    first = key(cfg)
    cfg.merge_from_dict({'model.bbox_head.num_classes': 7, 'model.backbone.trunk.checkpoint': None})
    assert key(cfg) == first == key(shipped_config('slgnet_llvip.py'))
    cfg.model.num_queries = 300
    assert key(cfg) != first


def test_measuring(zoo, monkeypatch):
    monkeypatch.setitem(zoo['measure'].__globals__, 'SIZE', (64, 64))
    cfg = shipped_config('slgnet_mini.py')
    options = dict(option.split('=', 1) for option in TINY if option.startswith('model.'))
    cfg.merge_from_dict({k: eval(v) if v[0].isdigit() else v for k, v in options.items()})
    cost = zoo['measure'](cfg)
    DefaultScope._instance_dict.clear()
    assert list(cost) == ['features', 'detector']
    assert cost['detector'] > cost['features'] > 0.5
