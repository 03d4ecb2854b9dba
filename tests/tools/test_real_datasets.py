"""From a downloaded folder to figures, for each dataset, on real pairs: convert, caption, train, test."""

import re
from pathlib import Path

import pytest
import torch
from conversion.folders import real_dronevehicle, real_flir, real_kaist, real_llvip, real_m3fd
from helpers import ROOT
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope, init_default_scope

FOLDERS = {
    'flir': real_flir,
    'llvip': real_llvip,
    'kaist': real_kaist,
    'dronevehicle': lambda shared, root: real_dronevehicle(shared, root, 'test'),
    'm3fd': real_m3fd,
}
COCO = r'COCO mAP, IoU 0\.50:0\.95.*; split test, '
PROTOCOLS = {
    'flir': COCO + '2 pairs; boxes drawn in: ir; classes in order: person, car, bicycle',
    'llvip': COCO + r'6 pairs; boxes drawn in: ir; classes in order: person\n',
    'kaist': r'log-average miss rate in percent \(matlab\).*; split test, 13 pairs; .*in order: person\n',
    'dronevehicle': r'VOC07 11-point AP, oriented .*; split test, 9 pairs; boxes drawn in: ir; .*: car, t',
    'm3fd': COCO.replace('test', 'val') + '2 pairs; boxes drawn in: unknown; .*: people, car, bus',
}
SMALL = {
    'model.backbone.trunk.depth': 1,
    'model.backbone.trunk.checkpoint': None,
    'test_dataloader.dataset.pipeline.resize.scale': (160, 128),
    **{f'{loader}_dataloader.num_workers': 0 for loader in ('train', 'val', 'test')},
    **{f'{loader}_dataloader.persistent_workers': False for loader in ('train', 'val', 'test')},
}
SMALL_DINO = {
    'model.encoder.num_layers': 1,
    'model.decoder.num_layers': 1,
    'model.num_queries': 100,
    'model.test_cfg.max_per_img': 100,
}


def leaf(name, root):
    """The config as it is, on another folder."""
    base = ROOT / f'configs/slgnet_{name}.py'
    val, test = (Path(Config.fromfile(base)[f'{s}_evaluator'].ann_file).name for s in ('val', 'test'))
    loaders = (
        f'{s}_dataloader = dict(dataset=dict(data_root={str(root)!r}))' for s in ('train', 'val', 'test')
    )
    evaluators = (
        f'{s}_evaluator = dict(ann_file={str(root / f)!r})' for s, f in (('val', val), ('test', test))
    )
    return '\n'.join((f'_base_ = {str(base)!r}', *loaders, *evaluators))


@pytest.mark.slow
@pytest.mark.parametrize('name', FOLDERS)
def test_from_folder_to_figures(name, shared, tmp_path, run_quickly):
    images = FOLDERS[name](shared, tmp_path / name)
    root = tmp_path / 'annotations'  # elsewhere than the images
    jsonl = tmp_path / 'captions.jsonl'
    done = run_quickly('tools/verify_data.py', name, images)
    assert done.returncode == 0, done.stdout
    done = run_quickly('tools/convert.py', name, images, '--out', root)
    assert done.returncode == 0, done.stderr
    annotations = sorted(root.glob('annotations_*.json'))
    done = run_quickly('tools/captions/generate.py', *annotations, '--out', jsonl)
    assert done.returncode == 0, done.stderr
    captions = root / 'captions.safetensors'
    done = run_quickly('tools/captions/encode.py', jsonl, '--encoder', 'hashed', '--out', captions)
    assert done.returncode == 0, done.stderr

    config = tmp_path / f'slgnet_{name}.py'
    config.write_text(leaf(name, root))
    options = SMALL | (SMALL_DINO if name != 'dronevehicle' else {})
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'random.pth')
    DefaultScope._instance_dict.clear()
    words = [f'{key}={value}' for key, value in options.items()]
    done = run_quickly(
        'tools/test.py',
        config,
        tmp_path / 'random.pth',
        '--work-dir',
        tmp_path / 'out',
        '--cfg-options',
        *words,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(f'protocol: {PROTOCOLS[name]}', done.stdout + done.stderr)
    if name == 'dronevehicle':
        assert 'no ground truth of' in done.stdout + done.stderr
