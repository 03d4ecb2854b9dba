"""What tests share: drawn pairs with captions, leaf configs for them, tools run in and out of process."""

import copy
import json
import os
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
LEAN = ROOT / 'tests' / 'lean'
"""For the PYTHONPATH of processes of their own: they start without transformers, which takes a while."""

TINY_MODEL = [
    'model.backbone.trunk.depth=2',
    'model.backbone.trunk.embed_dim=24',
    'model.backbone.trunk.num_heads=2',
    'model.backbone.interaction_indexes=0,1',
    'model.backbone.num_heads=2',
    'model.backbone.structure.stem_dims=8,8',
    'model.backbone.structure.level_dims=8,8,8',
    'model.backbone.structure.out_dims=16',
    'model.neck.0.in_channels=24',
    'model.neck.1.in_channels=24',
    'model.test_cfg.score_thr=0.0',  # so that untrained models find something
    *(f'{loader}_dataloader.dataset.pipeline.resize.scale=(96,64)' for loader in ('train', 'val', 'test')),
    *(f'{loader}_dataloader.num_workers=0' for loader in ('train', 'val', 'test')),
    *(f'{loader}_dataloader.persistent_workers=False' for loader in ('train', 'val', 'test')),
]
"""Options that make configs/slgnet_mini.py a matter of seconds; the trunk's file stays that of the config."""
TINY = [*TINY_MODEL, 'model.backbone.trunk.checkpoint=None']
"""The same with random weights in the trunk."""


def iterations(number):
    """Options that train for so many iterations, and validate and save after the last."""
    return [
        f'train_cfg.max_iters={number}',
        f'train_cfg.val_interval={number}',
        f'default_hooks.checkpoint.interval={number}',
    ]


def shipped_config(name):
    """A config below configs/, the caller's own; MMEngine takes a tenth of a second to read one."""
    return copy.deepcopy(_parsed(name))


@cache
def _parsed(name):
    from mmengine.config import Config

    return Config.fromfile(ROOT / 'configs' / name)


def write_leaf(folder, base='slgnet_mini.py', classes=('person', 'car', 'bicycle'), name='leaf.py', more=''):
    """Write a leaf config for a folder of pairs, as configs/my_pairs.py shows; return its path."""
    path = Path(folder) / name
    path.write_text(
        f"""_base_ = {str(ROOT / 'configs' / base)!r}
_data = dict(data_root={str(folder)!r}, metainfo=dict(classes={tuple(classes)!r}))
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={str(Path(folder) / 'annotations_test.json')!r})
test_evaluator = val_evaluator
{more}"""
    )
    return path


def run_tool(*args, timeout=600, env=None, cwd=ROOT):
    """Run a tool of the project as a user without transformers would; return the finished process."""
    command = [sys.executable, *map(str, args)] if str(args[0]).endswith('.py') else [*map(str, args)]
    full_env = {**os.environ, 'PYTHONPATH': f'{ROOT}:{LEAN}', 'PYTHON': sys.executable, **(env or {})}
    return subprocess.run(command, cwd=cwd, env=full_env, capture_output=True, text=True, timeout=timeout)


def run_analysis(name, *args):
    """Run a tool of tools/analysis as a user would; return the finished process."""
    return run_tool(ROOT / 'tools' / 'analysis' / name, *args)


def run_here(tool, monkeypatch, *args):
    """Run a tool in this process, which spares the imports; return its exit code.

    Args:
        tool: Path below tools/, or the name of one of tools/analysis.
        monkeypatch: The fixture.
        *args: Arguments of the tool.
    """
    path = ROOT / 'tools' / tool
    path = str(path if path.is_file() else ROOT / 'tools' / 'analysis' / tool)
    monkeypatch.setattr(sys, 'argv', [path, *map(str, args)])
    try:
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(path, run_name='__main__')
    finally:
        _forget_runs()
    return caught.value.code


def _forget_runs():
    """Take away what MMEngine keeps of a run for its process: a logger that writes to a captured stream."""
    if 'mmengine' in sys.modules:
        from mmengine.logging import MessageHub, MMLogger
        from mmengine.registry import DefaultScope
        from mmengine.visualization import Visualizer

        for kind in (MMLogger, MessageHub, DefaultScope, Visualizer, *Visualizer.__subclasses__()):
            kind._instance_dict.clear()


def write_pairs(folder, num=4, size=(96, 64), classes=('person', 'car', 'bicycle'), split='train'):
    """Write drawn pairs in COCO form: a light box in both images. Returns the annotation file's data."""
    width, height = size
    images, annotations = [], []
    for folder_name in ('visible', 'infrared'):
        (folder / folder_name).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(num)
    for i in range(1, num + 1):
        name = f'{split}_{i:03d}.png'
        visible = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
        infrared = rng.integers(0, 60, (height, width), dtype=np.uint8)
        x, y, w, h = 8 + 4 * (i % 5), 8 + 2 * (i % 4), 24, 32
        visible[y : y + h, x : x + w] = 60 * (i % len(classes)) + 100
        infrared[y : y + h, x : x + w] = 220
        cv2.imwrite(str(folder / 'visible' / name), visible)
        cv2.imwrite(str(folder / 'infrared' / name), infrared)
        images.append(dict(id=i, file_name=name, width=width, height=height))
        annotations.append(
            dict(id=i, image_id=i, category_id=1 + i % len(classes), bbox=[x, y, w, h], area=w * h, iscrowd=0)
        )
    data = dict(
        info=dict(label_modality='ir'),
        images=images,
        annotations=annotations,
        categories=[dict(id=i + 1, name=name) for i, name in enumerate(classes)],
    )
    (folder / f'annotations_{split}.json').write_text(json.dumps(data))
    return data


def write_captions(path, names, width=512):
    """Write a caption store for the images."""
    from mmslg.captions.encoders.hashed import HashedTextEncoder
    from mmslg.captions.schema import StructuredCaption
    from mmslg.captions.store import write_store

    captions = {
        name: StructuredCaption('daylight', 'street', f'{i} objects', 'high thermal contrast')
        for i, name in enumerate(names)
    }
    write_store(path, captions, HashedTextEncoder(width=width))


def make_pairs(folder):
    """Write a small dataset with captions and a leaf config, leaf.py, for it; return its folder."""
    names = []
    for split, num in (('train', 4), ('test', 3)):
        names += [image['file_name'] for image in write_pairs(folder, num, split=split)['images']]
    write_captions(folder / 'captions.safetensors', names)
    write_leaf(folder)
    return folder


def write_weights(path, model):
    """Write a checkpoint as training does, with the classes of write_leaf; return its path."""
    import torch

    meta = dict(dataset_meta=dict(classes=('person', 'car', 'bicycle')))
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, path)
    return path


def told(model):
    """Let captions change what a new model finds; return it."""
    import torch

    for parameter in model.neck[0].parameters():  # the last layers start at zero
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def write_trunk(path, seed=5):
    """Weights of a trunk as TINY makes it, at the published patch size and grid."""
    import timm
    import torch

    torch.manual_seed(seed)
    options = dict(depth=2, embed_dim=24, num_heads=2, num_classes=0)
    torch.save(timm.create_model('vit_small_patch14_dinov2', **options).state_dict(), path)
    return path
