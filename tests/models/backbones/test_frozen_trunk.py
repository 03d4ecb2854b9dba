import re

import pytest
import timm
import torch

from mmslg.errors import InputError
from mmslg.models.backbones import FrozenTrunk

MODELS = ['vit_small_patch14_dinov2', 'vit_small_patch14_reg4_dinov2', 'vit_small_patch16_dinov3']


def published(tmp_path, name='vit_small_patch14_dinov2', depth=2, suffix='.pth', **changes):
    """A checkpoint as DINOv2's authors publish it: patch 14, 37 x 37 positions, a mask token."""
    torch.manual_seed(3)
    vit = timm.create_model(name, depth=depth, num_classes=0)
    state = {k: torch.randn_like(v) for k, v in vit.state_dict().items()}
    if 'reg_token' in state:
        # There the authors' positions begin with the class token's; timm folds it into the token.
        state['register_tokens'] = state.pop('reg_token')
        state['pos_embed'] = torch.cat([torch.randn(1, 1, 384), state['pos_embed']], 1)
    state['mask_token'] = torch.zeros(1, 384)
    state.update(changes)
    path = tmp_path / f'dinov2{suffix}'
    torch.save(state, path)
    return path, state


@pytest.mark.parametrize('name', MODELS)
def test_blocks_one_by_one_equal_timm(name):
    trunk = FrozenTrunk(name, depth=3, init_values=0.3)
    with torch.no_grad():
        for p in trunk.parameters():
            p.add_(torch.randn_like(p) * 0.02)
    images = torch.randn(2, 3, 64, 96)  # neither square nor the size of pre-training
    tokens, rope = trunk.embed(images)
    for i in range(3):
        tokens = trunk.run_blocks(tokens, i, i + 1, rope)
    feats = trunk.norm(tokens)[:, trunk.num_prefix_tokens :]
    expected = trunk.vit.forward_intermediates(
        images, indices=[2], norm=True, output_fmt='NLC', intermediates_only=True
    )[0]
    assert (feats - expected).abs().max() <= 1e-5


def test_positions_are_kept_and_follow_the_weights():
    trunk = FrozenTrunk('vit_small_patch14_dinov2', depth=1)
    images = torch.zeros(1, 3, 32, 48)
    first, _ = trunk.embed(images)
    assert list(trunk._positions) == [(2, 3, torch.float32)]
    state = trunk.state_dict()
    state['vit.pos_embed'] = state['vit.pos_embed'] + 1
    trunk.load_state_dict(state)
    torch.testing.assert_close(trunk.embed(images)[0], first + 1)


def test_frozen_and_in_eval_mode_whatever_is_asked():
    trunk = FrozenTrunk('vit_small_patch14_dinov2', depth=1, drop_path_rate=0.5)
    before = {k: v.clone() for k, v in trunk.state_dict().items()}
    trunk.train()
    trunk.init_weights()
    assert not any(m.training for m in trunk.modules())
    assert not any(p.requires_grad for p in trunk.parameters())
    assert all(torch.equal(v, before[k]) for k, v in trunk.state_dict().items())


@pytest.mark.parametrize('name', MODELS[:2])
def test_published_checkpoint_is_resampled_and_reported(tmp_path, name):
    path, state = published(tmp_path, name)
    trunk = FrozenTrunk(name, str(path), patch_size=16, depth=2)
    report = trunk.report
    assert len(report.matched) == len(trunk.vit.state_dict()) and not report.missing
    assert report.layer_scale
    assert 'patch_embed.proj.weight' in report.resampled
    assert trunk.vit.patch_embed.proj.weight.shape[-1] == 16
    assert torch.equal(trunk.vit.blocks[1].ls2.gamma, state['blocks.1.ls2.gamma'])
    assert torch.equal(trunk.vit.blocks[0].attn.qkv.weight, state['blocks.0.attn.qkv.weight'])
    expected = timm.create_model(
        name,
        depth=2,
        patch_size=16,
        dynamic_img_size=True,
        num_classes=0,
        pretrained=True,
        pretrained_cfg_overlay=dict(file=str(path)),
    )
    for key, value in expected.state_dict().items():
        torch.testing.assert_close(trunk.vit.state_dict()[key], value)
    assert re.search(r'\d+ matched, 0 missing.*LayerScale present', str(report))


def test_checkpoint_in_a_wrapper_and_as_safetensors(tmp_path):
    from safetensors.torch import save_file

    path, state = published(tmp_path)
    wrapped = tmp_path / 'teacher.pth'
    torch.save({'teacher': {f'backbone.{k}': v for k, v in state.items()}}, wrapped)
    save_file(state, tmp_path / 'model.safetensors')
    first, *others = (
        FrozenTrunk('vit_small_patch14_dinov2', str(p), depth=2).vit.state_dict()
        for p in (path, wrapped, tmp_path / 'model.safetensors')
    )
    for other in others:
        assert all(torch.equal(v, other[k]) for k, v in first.items())


def refused(path, message, name='vit_small_patch14_dinov2', **kwargs):
    with pytest.raises(InputError, match=message) as error:
        FrozenTrunk(name, str(path), **{'depth': 2, **kwargs})
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_a_checkpoint_that_matches_nothing_is_refused(tmp_path):
    path = tmp_path / 'resnet.pth'
    torch.save({'conv1.weight': torch.zeros(3), 'layer1.0.weight': torch.zeros(3)}, path)
    refused(path, 'no key of the checkpoint matches')


def test_a_checkpoint_without_layer_scale_is_refused(tmp_path):
    path, state = published(tmp_path)
    torch.save({k: v for k, v in state.items() if 'ls1' not in k and 'ls2' not in k}, path)
    refused(path, r'lacks 4 of \d+ tensors .* such as blocks.0.ls1.gamma')


def test_a_trunk_without_layer_scale_does_not_drop_the_checkpoints(tmp_path):
    refused(
        published(tmp_path)[0],
        r'4 tensors have no place in the trunk, such as blocks.0.ls1.gamma',
        init_values=0,
    )


def test_another_width_or_depth_is_refused(tmp_path):
    path, _ = published(tmp_path)
    refused(path, r'have another shape, such as .*: checkpoint', embed_dim=192, num_heads=3)
    refused(path, r'lacks \d+ of', depth=3)
    refused(path, 'have no place in the trunk', depth=1)


def test_missing_file_and_code_in_the_file(tmp_path):
    refused(tmp_path / 'nothing.pth', 'no such file')
    path = tmp_path / 'code.pth'
    torch.save({'hook': print}, path)
    refused(path, 'not a checkpoint of tensors')


def test_other_families_are_refused():
    with pytest.raises(InputError, match='wanted a DINOv2 or DINOv3 model'):
        FrozenTrunk('resnet18', patch_size=16)
