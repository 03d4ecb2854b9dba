import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def root():
    return ROOT


@pytest.fixture(scope='session')
def shared():
    """Real pairs beside the checkout; their licences keep them out of the project."""
    folder = ROOT.parent / 'shared' / 'data'
    if not folder.is_dir():
        pytest.skip('the real pairs of ../shared/data are not on this machine')
    return folder


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope='session')
def run_tool():
    """Run a tool of the project as a user would; returns the finished process."""

    def run(*args, timeout=600, env=None, cwd=ROOT):
        command = [sys.executable, *map(str, args)] if str(args[0]).endswith('.py') else [*map(str, args)]
        full_env = {**os.environ, 'PYTHONPATH': str(ROOT), 'PYTHON': sys.executable, **(env or {})}
        return subprocess.run(command, cwd=cwd, env=full_env, capture_output=True, text=True, timeout=timeout)

    return run


def run_analysis(name, *args):
    """Run a tool of tools/analysis as a user would; return the finished process."""
    return subprocess.run(
        [sys.executable, ROOT / 'tools' / 'analysis' / name, *map(str, args)],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
    )


def run_here(name, monkeypatch, *args):
    """Run a tool in this process, which spares the imports; return its exit code."""
    tool = str(ROOT / 'tools' / 'analysis' / name)
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(tool, run_name='__main__')
    return caught.value.code


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


@pytest.fixture
def pairs(tmp_path):
    """A small dataset with captions in the form of configs/slgnet_mini.py; returns its folder."""
    names = []
    for split, num in (('train', 4), ('test', 3)):
        names += [image['file_name'] for image in write_pairs(tmp_path / 'pairs', num, split=split)['images']]
    write_captions(tmp_path / 'pairs' / 'captions.safetensors', names)
    return tmp_path / 'pairs'


TINY = [
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
    'train_dataloader.dataset.pipeline.3.scale=(96,64)',
    'val_dataloader.dataset.pipeline.2.scale=(96,64)',
    'test_dataloader.dataset.pipeline.2.scale=(96,64)',
    *(f'{loader}_dataloader.num_workers=0' for loader in ('train', 'val', 'test')),
    *(f'{loader}_dataloader.persistent_workers=False' for loader in ('train', 'val', 'test')),
]
"""Options that make configs/slgnet_mini.py a matter of seconds."""


def mini_env(folder):
    """Point configs/slgnet_mini.py to the pairs of a folder."""
    return dict(MMSLG_DATA=str(folder), MMSLG_CAPTIONS=str(folder / 'captions.safetensors'))


def _mounted(folder, *options):
    """Mount a file system of 1 MB in memory on a folder; return how to take it away again."""
    folder.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', ','.join(('size=1m', *options)), 'tmpfs', folder]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip('there is no mount here')
    if done.returncode:
        pytest.skip(f'mounting is not allowed here: {done.stderr.strip()}')
    return lambda: subprocess.run(['umount', '-l', folder], check=True)


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a disk of 1 MB that is full."""
    unmount = _mounted(tmp_path / 'full_disk')
    with open(tmp_path / 'full_disk' / 'filler', 'wb', buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    yield tmp_path / 'full_disk'
    unmount()


@pytest.fixture
def read_only(tmp_path):
    """A folder that nobody, root included, can write to."""
    unmount = _mounted(tmp_path / 'read_only', 'ro')
    yield tmp_path / 'read_only'
    unmount()
