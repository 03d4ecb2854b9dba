import copy
import re

import pytest
import timm
import torch
from helpers import shipped_config

from mmslg.engine.learnt_ema import LearntEMA
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
    assert list(trunk._positions) == [(2, 3)]
    state = trunk.state_dict()
    state['vit.pos_embed'] = state['vit.pos_embed'] + 1
    trunk.load_state_dict(state)
    torch.testing.assert_close(trunk.embed(images)[0], first + 1)


def test_positions_of_few_sizes_are_kept(monkeypatch):
    trunk = FrozenTrunk('vit_small_patch14_dinov2', depth=1, embed_dim=24, num_heads=2)
    resampled = []
    resample = trunk._resample
    monkeypatch.setattr(trunk, '_resample', lambda *size: (resampled.append(size), resample(*size))[1])
    sizes = [(2, 2 + i) for i in range(10)]
    for height, width in [*sizes[:8], sizes[0], *sizes[8:], sizes[0], sizes[1]]:
        trunk.embed(torch.zeros(1, 3, 16 * height, 16 * width))
        with torch.autocast('cpu', torch.bfloat16):
            trunk.embed(torch.zeros(1, 3, 16 * height, 16 * width))
    assert resampled == [*sizes, sizes[1]]  # the first stayed in use, the second made room
    assert len(trunk._positions) == 8


@pytest.mark.parametrize('name', MODELS[:2])
@pytest.mark.parametrize('patch_size', [14, 16])
def test_positions_are_resampled_once_from_the_published_grid(tmp_path, name, patch_size):
    path, state = published(tmp_path, name)
    trunk = FrozenTrunk(name, str(path), patch_size=patch_size, depth=2)
    own = trunk.vit.pos_embed
    grid = state['pos_embed'][:, -37 * 37 :]
    assert torch.equal(own[:, -37 * 37 :], grid)
    assert 'pos_embed' not in trunk.report.resampled or 'reg4' in name  # there a position is folded away
    added, _ = trunk._position(20, 30)
    maps = grid.view(1, 37, 37, -1).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(maps, (20, 30), mode='bicubic', antialias=True)
    torch.testing.assert_close(added[:, trunk.num_prefix_tokens :], expected.flatten(2).transpose(1, 2))


def test_dinov3_has_no_grid_of_positions():
    name = 'vit_small_patch16_dinov3'
    trunk = FrozenTrunk(name, depth=1)
    assert trunk.vit.pos_embed is None and trunk.vit.rope is not None
    assert trunk.vit.patch_embed.img_size == timm.create_model(name, depth=1).patch_embed.img_size
    before = trunk.embed(torch.ones(1, 3, 32, 48))
    trunk.fit_positions(1 + 32 * 32)
    for found, expected in zip(trunk.embed(torch.ones(1, 3, 32, 48)), before):
        assert torch.equal(found, expected)


@pytest.mark.parametrize('name', MODELS[:2])
def test_positions_of_an_older_checkpoint(name):
    older = FrozenTrunk(name, depth=1, img_size=518)  # 32 x 32 patches of 16, as it once was
    trunk = FrozenTrunk(name, depth=1)
    images = torch.randn(1, 3, 48, 64)
    trunk.embed(images)
    trunk.fit_positions(1000)  # not square: the comparison of shapes will say so
    assert trunk.vit.pos_embed.shape == FrozenTrunk(name, depth=1).vit.pos_embed.shape
    average = LearntEMA(trunk)
    trunk.fit_positions(older.vit.pos_embed.shape[1])
    trunk.load_state_dict(older.state_dict())
    assert average.module.vit.pos_embed is trunk.vit.pos_embed
    assert torch.equal(trunk.embed(images)[0], older.embed(images)[0])
    assert not trunk.vit.pos_embed.requires_grad


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
        img_size=37 * 16,
        dynamic_img_size=True,
        num_classes=0,
        pretrained=True,
        pretrained_cfg_overlay=dict(file=str(path)),
    )
    for key, value in expected.state_dict().items():
        torch.testing.assert_close(trunk.vit.state_dict()[key], value)
    assert re.search(r'\d+ matched, 0 missing.*LayerScale present', str(report))


def test_published_weights_that_cannot_be_downloaded(monkeypatch):
    def create(*args, pretrained, **kwargs):
        raise OSError('no network')

    monkeypatch.setattr(timm, 'create_model', create)
    with pytest.raises(InputError, match=r'and set model\.backbone\.trunk\.checkpoint=PATH$'):
        FrozenTrunk('vit_small_patch14_dinov2', 'pretrained')


def test_checkpoint_in_a_wrapper_and_as_safetensors(tmp_path):
    from safetensors.torch import save_file

    path, state = published(tmp_path)
    wrapped = tmp_path / 'teacher.pth'
    torch.save({'teacher': {f'module.backbone.{k}': v for k, v in state.items()}}, wrapped)
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
    torch.save({'hook': input}, path)
    refused(path, 'not a checkpoint of tensors')


def test_other_families_are_refused():
    with pytest.raises(InputError, match='wanted a DINOv2 or DINOv3 model'):
        FrozenTrunk('resnet18', patch_size=16)


def half_and_full(name, dtype='bfloat16', **kwargs):
    """Two trunks of the same weights, one of them in half precision."""
    torch.manual_seed(0)
    full = FrozenTrunk(name, depth=2, init_values=0.3, **kwargs)
    half = FrozenTrunk(name, depth=2, init_values=0.3, dtype=dtype, **kwargs)
    half.load_state_dict(full.state_dict())  # as an old checkpoint is loaded
    return half, full


def tokens_of(trunk, images):
    tokens, rope = trunk.embed(images)
    blocks = trunk.run_blocks(tokens, 0, trunk.depth, rope)
    return tokens, blocks, trunk.norm(blocks)


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_half_precision_stays_inside_the_blocks(name, dtype):
    half, full = half_and_full(name, dtype)
    images = torch.randn(2, 3, 64, 96)
    products = []
    for layer in half.vit.blocks.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(lambda layer, args, out: products.append(out.dtype))
    for found, expected in zip(tokens_of(half, images), tokens_of(full, images)):
        assert found.dtype == expected.dtype == torch.float32
        error = (found - expected).norm() / expected.norm()
        assert error < 0.02
    assert error > 0  # it is another computation
    assert len(products) == 8 and set(products) == {getattr(torch, dtype)}
    in_half = sum(p.numel() for p in half.parameters() if p.dtype == getattr(torch, dtype))
    assert in_half > 0.8 * sum(p.numel() for p in half.parameters())  # position embeddings are float32


@pytest.mark.parametrize('checkpointed', [False, True])
def test_gradients_flow_through_half_precision(checkpointed):
    half, full = half_and_full('vit_small_patch14_dinov2')
    grads = []
    for trunk in (half, full):
        tokens, rope = trunk.embed(torch.ones(1, 3, 32, 48))
        tokens.requires_grad_()
        (1e-6 * trunk.run_blocks(tokens, 0, 2, rope, checkpointed).sum()).backward()  # float16 would lose it
        grads.append(tokens.grad)
    assert grads[0].dtype == torch.float32
    assert (grads[0] - grads[1]).norm() < 0.02 * grads[1].norm()


def test_training_in_float16_is_refused_and_inference_is_not():
    trunk, _ = half_and_full('vit_small_patch14_dinov2', 'float16')
    tokens, rope = trunk.embed(torch.ones(1, 3, 32, 48))
    assert trunk.run_blocks(tokens, 0, 2, rope).isfinite().all()
    with pytest.raises(InputError, match='float16 serves inference'):
        trunk.run_blocks(tokens.requires_grad_(), 0, 2, rope)


def test_the_whole_model_in_another_type():
    trunk, _ = half_and_full('vit_small_patch14_dinov2')
    images = torch.randn(1, 3, 32, 48)
    copied = copy.deepcopy(trunk)
    assert copied.dtype == torch.bfloat16
    expected = tokens_of(trunk, images)[-1]
    assert torch.equal(tokens_of(copied, images)[-1], expected)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        moved = copy.deepcopy(trunk).to(dtype)
        assert moved.dtype == dtype
        found = tokens_of(moved, images.to(dtype))[-1]
        assert found.dtype == dtype
        assert (found.float() - expected).norm() < 0.02 * expected.norm()
    assert copy.deepcopy(trunk).half().float().dtype == torch.float32


def test_under_autocast_tokens_are_float32():
    for trunk in half_and_full('vit_small_patch14_dinov2'):
        images = torch.randn(1, 3, 32, 48)
        expected = tokens_of(trunk, images)
        with torch.autocast('cpu', torch.float16):
            found = tokens_of(trunk, images)
        assert {tokens.dtype for tokens in found} == {torch.float32}
        if trunk.dtype == torch.bfloat16:  # the trunk's own precision counts
            assert all(torch.equal(a, b) for a, b in zip(found, expected))


def test_a_gpu_without_bfloat16(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)  # MMEngine's logger may ask
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation: False)
    with caplog.at_level('WARNING'):
        trunk = FrozenTrunk('vit_small_patch14_dinov2', depth=1, dtype='bfloat16')
    assert trunk.dtype == torch.float32


def test_another_dtype_is_refused():
    with pytest.raises(InputError, match="trunk dtype='int8': wanted float32, bfloat16, float16"):
        FrozenTrunk('vit_small_patch14_dinov2', dtype='int8')
    with pytest.raises(InputError, match='trunk checkpoint=7: wanted a path'):
        FrozenTrunk('vit_small_patch14_dinov2', checkpoint=7)


def test_the_shipped_trunk_is_known_by_its_own_name():
    settings = dict(shipped_config('slgnet_mini.py').model.backbone.trunk)
    assert settings['checkpoint'] == 'miniature' != settings['name']
    assert FrozenTrunk(**settings).source['name'] == 'miniature'


def test_a_trunk_is_known_by_its_weights_whatever_grid_and_type(tmp_path):
    name = 'vit_small_patch14_dinov2'
    path, state = published(tmp_path)
    trunks = [
        FrozenTrunk(name, str(path), depth=2, **options)
        for options in (dict(patch_size=14), dict(img_size=224), dict(dtype='bfloat16'))
    ]
    assert len({trunk.fingerprint for trunk in trunks}) == 1 and len(trunks[0].fingerprint) == 64
    assert [trunk.source['patch_size'] for trunk in trunks] == [14, 16, 16]
    assert trunks[1].source['positions'] == 1 + 14 * 14 and trunks[1].source['name'] == name
    state['blocks.1.mlp.fc2.bias'][3] += 1e-6
    torch.save(state, path)
    assert FrozenTrunk(name, str(path), depth=2).fingerprint != trunks[0].fingerprint


def test_what_a_checkpoint_need_not_hold(tmp_path):
    trunk = FrozenTrunk('vit_small_patch14_dinov2', str(published(tmp_path)[0]), depth=2)
    assert trunk.fetchable() == set(trunk.state_dict())
    trunk.vit.blocks[1].requires_grad_(True)
    trunk.replaced.add('vit.norm.bias')
    kept = {name for name in trunk.state_dict() if name.startswith('vit.blocks.1.')}
    assert trunk.fetchable() == set(trunk.state_dict()) - kept - {'vit.norm.bias'}
    random = FrozenTrunk('vit_small_patch14_dinov2', depth=1)
    assert random.fingerprint is None and random.source is None and not random.fetchable()
