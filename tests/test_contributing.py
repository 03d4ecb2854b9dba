"""CONTRIBUTING.md to the letter: its files go into a copy of the tree, its commands run there."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from helpers import LEAN, ROOT, write_captions, write_pairs
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope, init_default_scope

VOC = """<annotation><size><width>96</width><height>64</height><depth>3</depth></size>
<object><name>car</name>
<bndbox><xmin>10</xmin><ymin>12</ymin><xmax>50</xmax><ymax>40</ymax></bndbox></object></annotation>"""


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    """A copy of the package, the configs and the tools."""
    folder = tmp_path_factory.mktemp('tree')
    for name in ('mmslg', 'configs', 'tools'):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__'))
    return folder


@pytest.fixture(scope='module')
def follow(tree):
    """Return a function that follows a recipe and returns what its commands printed."""

    def follow(title: str) -> str:
        recipe = re.search(
            rf'^## {title}\n(.+?)(?=^## |\Z)', (ROOT / 'CONTRIBUTING.md').read_text(), re.M | re.S
        )[1]
        for path, code in re.findall(r'```python\n# (\S+)\n(.+?)```', recipe, re.S):
            assert not (tree / path).exists()
            (tree / path).write_text(code)
        (commands,) = re.findall(r'```shell\n(.+?)```', recipe, re.S)
        python = f'export PATH={os.path.dirname(sys.executable)}:$PATH'
        done = subprocess.run(
            ['bash', '-ec', f'{python}\n{commands}'],
            cwd=tree,
            env={**os.environ, 'PYTHONPATH': f'{tree}:{LEAN}'},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    return follow


@pytest.fixture(scope='module')
def roadside(tree, follow):
    """The folder of the recipe's dataset, converted, and what the commands printed."""
    data = tree / 'data' / 'roadside'
    for image in write_pairs(data, 4)['images']:
        (data / 'labels').mkdir(exist_ok=True)
        (data / 'labels' / image['file_name']).with_suffix('.xml').write_text(VOC)
    (data / 'annotations_train.json').unlink()
    return data, follow('A dataset')


def test_a_dataset(roadside):
    data, out = roadside
    coco = json.loads((data / 'annotations_train.json').read_text())
    assert len(coco['images']) == 4 and len(coco['annotations']) == 4
    assert coco['annotations'][0]['bbox'] == [10, 12, 40, 28]
    assert [c['name'] for c in coco['categories']] == ['car', 'truck']
    assert 'train: 4 pairs' in out


def test_a_captioner(roadside, tree, follow):
    follow('A captioner')
    records = [json.loads(line) for line in (tree / 'work_dirs' / 'roadside.jsonl').read_text().splitlines()]
    assert len(records) == 4
    assert {record['captioner'] for record in records} == {'brightness'}


def test_a_head(follow):
    assert 'every trainable parameter gets a gradient' in follow('A head')


def test_a_metric(tree, follow):
    data = tree / 'data' / 'sample_scenes'
    write_pairs(data, 2, split='train')
    names = [image['file_name'] for image in write_pairs(data, 3, split='test')['images']]
    write_captions(data / 'captions.safetensors', names)
    cfg = Config.fromfile(tree / 'configs' / 'slgnet_mini.py')
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    DefaultScope._instance_dict.clear()
    checkpoint = tree / 'work_dirs' / 'slgnet_mini' / 'iter_800.pth'
    checkpoint.parent.mkdir(parents=True)
    torch.save(dict(meta=dict(), state_dict=model.state_dict()), checkpoint)
    out = follow('A metric')
    assert float(re.search(r'found/mean: (\d+\.\d+)', out)[1]) > 0
    assert 'coco/bbox_mAP' in out
