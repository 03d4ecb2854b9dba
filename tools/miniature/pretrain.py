"""Train the trunk of the miniature, mmslg/models/backbones/miniature.safetensors, from nothing.

It draws street scenes by day (tools/make_sample_scenes.py, of another seed than its own), trains
tools/miniature/trunk.py on what their visible images show, and writes the trunk in half precision. Run it
again to go on where it stopped. One thread computes, so that the same machine gives the same bytes.

Example:
    python tools/miniature/pretrain.py work_dirs/miniature
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ['OMP_NUM_THREADS'] = '1'  # read as torch loads: sums do not depend on who adds what

import torch
from mmengine.config import Config
from safetensors.torch import save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # sample_scenes lies beside this folder

from mmslg.apis.configs import check_config, read_config
from mmslg.apis.launch import build_runner, writing_to
from mmslg.apis.resumption import is_finished, latest_checkpoint, set_start
from mmslg.engine.checkpoints import METADATA, read_checkpoint
from mmslg.engine.data_files import file_hash
from mmslg.engine.identity import claim, run_identity
from mmslg.models.backbones.trunk_weights import fingerprint
from mmslg.utils import cli
from mmslg.utils.io import (
    atomic_path,
    check_folder,
    check_writable,
    read_json,
    refuse_overwriting,
    write_json,
)
from sample_scenes.dataset import Plan, write_scenes
from sample_scenes.scene import SPLITS

CONFIG = Path(__file__).with_name('trunk.py')
PREFIX = 'backbone.trunk.vit.'
CONDITION = 'day'
_OF_TRAINING = ('checkpoint', 'trainable', 'init_values')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dir', help='folder for scenes, logs and checkpoints')
    parser.add_argument('--config', default=str(CONFIG), help='the recipe [tools/miniature/trunk.py]')
    parser.add_argument('--out', metavar='FILE', help='the trunk [WORK_DIR/miniature.safetensors]')
    parser.add_argument(
        '--train', type=cli.parse_positive, default=4000, metavar='N', help='scenes to train on [%(default)s]'
    )
    parser.add_argument(
        '--test',
        type=cli.parse_positive,
        default=60,
        metavar='N',
        help='scenes to test on [%(default)s]',
    )
    parser.add_argument('--seed', type=int, default=2601, help='of scenes and training [%(default)s]')
    parser.add_argument('--workers', type=cli.parse_positive, default=2, help='that draw [%(default)s]')
    return parser.parse_args()


def draw(folder: Path, plan: Plan, workers: int) -> None:
    """Draw the scenes, and write down the boxes of what the visible image shows."""
    write_scenes(folder, plan, workers)
    for split in SPLITS:
        data = read_json(folder / f'annotations_{split}.json')
        data['annotations'] = [box for box in data['annotations'] if box['visible_in'] != 'infrared']
        write_json(folder / f'seen_{split}.json', data)


def configured(path: str, scenes: Path, work_dir: Path, seed: int) -> Config:
    """Return the recipe for these scenes."""
    test = str(scenes / 'seen_test.json')
    options = {f'{split}_dataloader.dataset.data_root': str(scenes) for split in ('train', 'val', 'test')}
    options |= {'val_evaluator.ann_file': test, 'test_evaluator.ann_file': test, 'randomness.seed': seed}
    cfg = read_config(path, options)
    cfg.work_dir = str(work_dir)
    check_config(cfg)
    return cfg


def train(cfg: Config) -> str:
    """Train, or go on; return the last checkpoint. A folder of another recipe is refused."""
    claim(cfg.work_dir, run_identity(cfg), 'WORK_DIR')
    if not is_finished(cfg, cfg.work_dir):
        remark = set_start(cfg, 'auto')
        with writing_to(cfg.work_dir):
            runner = build_runner(cfg)
            runner.logger.info(remark)
            runner.train()
    return latest_checkpoint(cfg.work_dir)


def trunk_of(checkpoint: str) -> dict[str, Tensor]:
    """Return the trunk's averaged weights, by their names within timm, in half precision."""
    state = read_checkpoint(checkpoint)['state_dict']
    names = sorted(name for name in state if name.startswith(PREFIX))
    return {name.removeprefix(PREFIX): state[name].half().contiguous() for name in names}


def hash_of(weights: dict[str, Tensor]) -> str:
    """Return the SHA-256 of all values, little endian, by their names in order."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(weights[name].numpy().astype('<f2').tobytes())
    return digest.hexdigest()


def facts_of(plan: Plan, cfg: Config, weights: dict[str, Tensor]) -> dict[str, Any]:
    """Return what the file says of itself."""
    trunk = {key: value for key, value in cfg.model.backbone.trunk.items() if key not in _OF_TRAINING}
    return dict(
        description='a small ViT that was trained to detect in drawn street scenes, visible images by day',
        recipe=dict(
            tool='tools/miniature/pretrain.py',
            config=Path(cfg.filename).name,
            config_sha256=file_hash(cfg.filename),
            scenes=plan.info(),
            iterations=cfg.train_cfg.max_iters,
            batch_size=cfg.train_dataloader.batch_size,
            seed=cfg.randomness.seed,
        ),
        trunk=trunk,
        fingerprint=fingerprint(weights),
        values_sha256=hash_of(weights),
        licence='Apache-2.0',
    )


def main() -> None:
    """Draw, train, and write the trunk."""
    args = parse_args()
    torch.set_num_threads(1)
    folder = check_folder(args.work_dir)
    out = check_writable(args.out or folder / 'miniature.safetensors')
    refuse_overwriting(out, args.config)
    plan = Plan(args.train, args.test, seed=args.seed, condition=CONDITION)
    draw(folder / 'scenes', plan, args.workers)
    cfg = configured(args.config, folder / 'scenes', folder / 'train', args.seed)
    weights = trunk_of(train(cfg))
    facts = facts_of(plan, cfg, weights)
    with atomic_path(out) as temporary:
        save_file(weights, temporary, {METADATA: json.dumps(facts, sort_keys=True)})
    millions = sum(value.numel() for value in weights.values()) / 1e6
    print(f'{out}: {millions:.2f} M values, {out.stat().st_size / 1e6:.2f} MB, SHA-256 {file_hash(out)}')


if __name__ == '__main__':
    cli.run(main)
