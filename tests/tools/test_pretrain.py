"""The training of the miniature's trunk, whole, on a handful of scenes; and the trunk that is shipped."""

import hashlib
import json

import pytest
import torch
from helpers import ROOT, run_here
from safetensors import safe_open
from safetensors.torch import load_file

from mmslg.apis.configs import read_config
from mmslg.engine.checkpoints import read_checkpoint
from mmslg.engine.data_files import file_hash
from mmslg.models.backbones import FrozenTrunk
from mmslg.models.backbones.trunk_weights import SHIPPED
from mmslg.utils.io import read_json

TINY = dict(name='vit_small_patch14_dinov2', depth=2, embed_dim=24, num_heads=2, img_size=64)


def facts(file):
    with safe_open(file, 'pt') as opened:
        return json.loads(opened.metadata()['mmslg'])


def hash_of(weights):
    return hashlib.sha256(b''.join(weights[name].numpy().tobytes() for name in sorted(weights))).hexdigest()


@pytest.fixture
def pretrain(monkeypatch, tmp_path):
    """Run the tool with a tiny recipe: two iterations of a trunk of two blocks."""
    threads = torch.get_num_threads()
    monkeypatch.setenv('OMP_NUM_THREADS', str(threads))
    recipe = tmp_path / 'recipe.py'
    recipe.write_text(
        f'_base_ = {str(ROOT / "tools/miniature/trunk.py")!r}\n'
        'model = dict(backbone=dict(trunk=dict(depth=2, embed_dim=24, num_heads=2, img_size=64)))\n'
        'model["neck"] = [dict(_base_.pyramid, in_channels=24)]\n'
        '_small = dict(resize=dict(scale=(96, 64)))\n'
        '_data = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=_small))\n'
        'train_dataloader = dict(_data, batch_size=2)\n'
        'val_dataloader = _data\n'
        'test_dataloader = val_dataloader\n'
        'train_cfg = dict(max_iters=2, val_interval=2)\n'
        'default_hooks = dict(checkpoint=dict(interval=2))\n'
    )

    def run(folder, *options):
        numbers = ('--train', 3, '--test', 1, '--workers', 1)
        return run_here('miniature/pretrain.py', monkeypatch, folder, '--config', recipe, *numbers, *options)

    yield run
    torch.set_num_threads(threads)


def test_the_recipe_from_scenes_to_the_trunk(pretrain, tmp_path, capfd):
    assert pretrain(tmp_path / 'a') == 0
    out = tmp_path / 'a/miniature.safetensors'
    assert file_hash(out) in capfd.readouterr().out
    drawn, kept = (read_json(tmp_path / f'a/scenes/{name}_train.json') for name in ('annotations', 'seen'))
    assert {image['condition'] for image in drawn['images']} == {'day'}
    assert kept['annotations'] == [box for box in drawn['annotations'] if box['visible_in'] != 'infrared']
    # What is written is the average of the last checkpoint, in half precision, and a trunk takes it.
    weights = load_file(out)
    state = read_checkpoint(str(tmp_path / 'a/train/iter_2.pth'))
    average, last = state['state_dict'], state['ema_state_dict']
    name = 'backbone.trunk.vit.blocks.1.mlp.fc1.weight'
    assert not torch.equal(average[name], last[f'module.{name}'])
    assert set(weights) == {n.removeprefix('backbone.trunk.vit.') for n in average if '.trunk.' in n}
    assert torch.equal(weights['blocks.1.mlp.fc1.weight'], average[name].half())
    trunk = FrozenTrunk(**TINY, checkpoint=str(out))
    assert torch.equal(trunk.vit.pos_embed, weights['pos_embed'].float())
    said = facts(out)
    assert (said['fingerprint'], said['values_sha256']) == (trunk.fingerprint, hash_of(weights))
    assert (said['recipe']['seed'], said['recipe']['iterations']) == (2601, 2)
    assert said['trunk'] == dict(**TINY, patch_size=16)
    # Again: nothing is drawn or trained anew, elsewhere it is, and the bytes are the same.
    before = (tmp_path / 'a/train/iter_2.pth').stat().st_mtime_ns
    assert pretrain(tmp_path / 'a', '--out', tmp_path / 'again.safetensors') == 0
    assert (tmp_path / 'a/train/iter_2.pth').stat().st_mtime_ns == before
    assert pretrain(tmp_path / 'b') == 0
    assert (tmp_path / 'b/train/iter_2.pth').stat().st_mtime_ns > before
    assert (
        file_hash(tmp_path / 'again.safetensors')
        == file_hash(tmp_path / 'b/miniature.safetensors')
        == file_hash(out)
    )


def test_a_finished_run_of_another_recipe_is_refused(pretrain, tmp_path, capfd):
    assert pretrain(tmp_path / 'a') == 0
    said = facts(tmp_path / 'a/miniature.safetensors')
    recipe = tmp_path / 'recipe.py'
    recipe.write_text(recipe.read_text() + 'optim_wrapper = dict(optimizer=dict(lr=0.5))\n')
    assert pretrain(tmp_path / 'a') == 1
    assert 'holds another run (optim_wrapper.optimizer.lr was 0.001 and is 0.5)' in capfd.readouterr().err
    assert facts(tmp_path / 'a/miniature.safetensors') == said


def test_the_shipped_trunk_says_what_it_is():
    file = SHIPPED['miniature']
    assert file.stat().st_size <= 6_000_000
    said, weights = facts(file), load_file(file)
    assert {value.dtype for value in weights.values()} == {torch.float16}
    assert all(value.isfinite().all() for value in weights.values())
    assert said['values_sha256'] == hash_of(weights)
    assert said['recipe']['config_sha256'] == file_hash(ROOT / 'tools/miniature' / said['recipe']['config'])
    assert said['recipe']['scenes']['condition'] == 'day'
    assert said['licence'] == 'Apache-2.0'
    assert said['values_sha256'] in (ROOT / 'docs/benchmarks.md').read_text()
    # The scenes that anything is tested on are others: by default, those of seed 0.
    from sample_scenes.dataset import Plan

    assert said['recipe']['scenes']['seed'] != Plan().seed


def test_the_miniature_takes_it_by_its_name():
    settings = read_config(str(ROOT / 'configs/slgnet_mini.py')).model.backbone.trunk
    assert settings.checkpoint == 'miniature'
    trunk = FrozenTrunk(**settings)
    assert trunk.fingerprint == facts(SHIPPED['miniature'])['fingerprint']
    assert trunk.report.source == str(SHIPPED['miniature']) and not trunk.report.resampled
    assert trunk.report.layer_scale
