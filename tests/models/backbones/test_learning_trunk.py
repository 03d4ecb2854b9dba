"""A trunk of which something learns: its last blocks, all of it, or low-rank updates."""

import copy
import sys

import pytest
import torch
from timm.layers import DropPath

from mmslg.errors import InputError
from mmslg.models.backbones import FrozenTrunk

MODELS = ['vit_small_patch14_dinov2', 'vit_small_patch14_reg4_dinov2', 'vit_small_patch16_dinov3']


def build(name=MODELS[0], depth=3, **kwargs):
    torch.manual_seed(0)
    return FrozenTrunk(name, depth=depth, embed_dim=48, num_heads=3, **kwargs)


def features(trunk, images, checkpointed=False):
    tokens, rope = trunk.embed(images)
    return trunk.norm(trunk.run_blocks(tokens, 0, trunk.depth, rope, checkpointed))[
        :, trunk.num_prefix_tokens :
    ]


def gradients(trunk, **kwargs):
    torch.manual_seed(1)
    out = features(trunk, torch.randn(2, 3, 64, 96), **kwargs)
    (out * torch.randn_like(out)).sum().backward()
    return {name: param.grad for name, param in trunk.named_parameters()}


@pytest.mark.parametrize('checkpointed', [False, True])
@pytest.mark.parametrize('name', MODELS)
@pytest.mark.parametrize('trainable', [0, 1, 3, 'all'])
def test_exactly_what_is_asked_learns(name, trainable, checkpointed):
    trunk = build(name, trainable=trainable)
    learnt = {n for n, p in trunk.named_parameters() if p.requires_grad}
    assert learnt == trunk.learnt
    first = 0 if trainable == 'all' else 3 - trainable
    expected = {n for n, _ in trunk.named_parameters() if any(f'blocks.{i}.' in n for i in range(first, 3))}
    if trainable:
        expected |= {n for n, _ in trunk.named_parameters() if n.startswith('vit.norm.')}
    if trainable == 'all':
        expected = {n for n, _ in trunk.named_parameters()}
    assert learnt == expected
    if not trainable:
        return
    grads = gradients(trunk, checkpointed=checkpointed)
    assert {n for n, g in grads.items() if g is not None and g.any()} == learnt
    plain = gradients(build(name, trainable=trainable))
    assert all(torch.equal(grads[n], plain[n]) for n in learnt)


def test_what_learns_runs_in_float32_and_the_rest_in_half_precision():
    trunk = build(trainable=1, dtype='bfloat16')
    seen = {}
    for i, block in enumerate(trunk.vit.blocks):
        block.mlp.fc1.register_forward_hook(
            lambda m, args, out, i=i: seen.update({i: (m.weight.dtype, out.dtype)})
        )
    gradients(trunk)
    assert seen == {0: (torch.bfloat16,) * 2, 1: (torch.bfloat16,) * 2, 2: (torch.float32,) * 2}


def test_positions_that_learn_are_never_kept():
    trunk = build(trainable='all')
    images = torch.zeros(1, 3, 32, 48)
    first = trunk.embed(images)[0]
    assert first.requires_grad and not trunk._positions
    with torch.no_grad():
        trunk.vit.pos_embed.add_(1)
        second = trunk.embed(images)[0]
    torch.testing.assert_close(second, first + 1)
    assert not second.requires_grad
    copy.deepcopy(trunk)


def test_frozen_parts_stay_in_eval_mode_and_learning_ones_train():
    trunk = build(trainable=2, drop_path_rate=0.5)
    trunk.train()
    modes = [{m.training for m in block.modules()} for block in trunk.vit.blocks]
    assert modes == [{False}, {True}, {True}]
    assert not trunk.vit.patch_embed.training
    assert isinstance(trunk.vit.blocks[2].drop_path1, DropPath)
    trunk.eval()
    assert not any(m.training for m in trunk.modules())


def test_blocks_begin_to_learn_one_after_the_other():
    trunk = build(trainable='all', drop_path_rate=0.5).train()

    def learning():
        blocks = [i for i, b in enumerate(trunk.vit.blocks) if all(p.requires_grad for p in b.parameters())]
        assert blocks == [i for i, b in enumerate(trunk.vit.blocks) if b.training]
        return blocks, trunk.vit.norm.weight.requires_grad, trunk.vit.pos_embed.requires_grad

    assert learning() == ([0, 1, 2], True, True)
    trunk.unfreeze(0)
    assert learning() == ([], False, False)
    trunk.unfreeze(2)
    assert learning() == ([1, 2], True, False)
    trunk.unfreeze(3)
    assert learning() == ([0, 1, 2], True, True)


def test_blocks_that_are_never_to_learn_stay_frozen():
    trunk = build(trainable=1)
    trunk.unfreeze(3)
    assert {n for n, p in trunk.named_parameters() if p.requires_grad} == trunk.learnt
    assert not any('blocks.1.' in n for n in trunk.learnt)


@pytest.mark.parametrize('trainable', [-1, 4, True, 'last', 1.0, None])
def test_other_numbers_are_refused(trainable):
    with pytest.raises(InputError, match="wanted the number of last blocks that learn, 0-3, or 'all'"):
        build(trainable=trainable)


def test_a_stage_of_learning_changes_nothing_of_what_a_checkpoint_holds():
    trunk = build(trainable=1)
    trunk.fingerprint = 'of a file'
    before = trunk.fetchable()
    assert before == set(trunk.state_dict()) - trunk.learnt
    trunk.unfreeze(0)
    assert trunk.fetchable() == before


class TestLora:
    @pytest.fixture(autouse=True)
    def _peft(self):
        pytest.importorskip('peft')

    @pytest.mark.parametrize('name', MODELS)
    def test_untrained_updates_change_nothing(self, name):
        images = torch.randn(1, 3, 64, 96)
        torch.testing.assert_close(
            features(build(name, lora=dict(r=2)), images), features(build(name), images), rtol=0, atol=0
        )

    @pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
    def test_the_updates_alone_learn(self, dtype):
        trunk = build(lora=dict(r=2), dtype=dtype)
        names = {n for n, _ in trunk.named_parameters() if '.lora_' in n}
        assert names == trunk.learnt and len(names) == 3 * 2 * 2
        assert all(p.dtype == torch.float32 for n, p in trunk.named_parameters() if n in names)
        for n, p in trunk.named_parameters():
            if '.lora_B.' in n:
                torch.nn.init.normal_(p, std=0.1)
        grads = gradients(trunk)
        assert {n for n, g in grads.items() if g is not None and g.any()} == names

    def test_updates_run_in_float32_beside_blocks_in_half_precision(self):
        trunk = build(lora=dict(r=2), dtype='bfloat16')
        qkv = trunk.vit.blocks[1].attn.qkv
        seen = {}
        for name in ('lora_A', 'lora_B'):
            getattr(qkv, name)['default'].register_forward_hook(
                lambda m, args, out, name=name: seen.update({name: out.dtype})
            )
        qkv.base_layer.register_forward_hook(lambda m, args, out: seen.update(base=out.dtype))
        assert features(trunk, torch.randn(1, 3, 64, 96)).dtype == torch.float32
        assert seen == dict(lora_A=torch.float32, lora_B=torch.float32, base=torch.bfloat16)
        assert trunk.dtype == torch.bfloat16

    def test_low_rank_arithmetic(self):
        trunk = build(depth=1, lora=dict(r=2, lora_alpha=6, target_modules=['qkv']))
        qkv = trunk.vit.blocks[0].attn.qkv
        first, second = qkv.lora_A['default'].weight, qkv.lora_B['default'].weight
        torch.nn.init.normal_(second)
        x = torch.randn(5, 48)
        expected = qkv.base_layer(x) + 6 / 2 * x @ first.T @ second.T
        torch.testing.assert_close(qkv(x), expected)

    def test_its_dropout_trains_and_the_block_does_not(self):
        trunk = build(lora=dict(r=2, lora_dropout=0.1), drop_path_rate=0.5).train()
        training = {type(m).__name__ for m in trunk.modules() if m.training}
        assert training == {'ModuleDict', 'Dropout'}
        assert all('lora_dropout' in n for n, m in trunk.named_modules() if m.training)

    def test_the_fingerprint_is_that_of_the_file(self):
        trunk = build(lora=dict(r=2))
        trunk.fingerprint = 'of a file'
        assert trunk.fetchable() == {n for n in trunk.state_dict() if '.lora_' not in n}

    @pytest.mark.parametrize(
        ('lora', 'message'),
        [
            (dict(rank=2), 'rank'),
            (dict(r=0), 'r'),
            (dict(target_modules=['query']), 'query'),
            (True, 'wanted options such as'),
            ('r=4', 'wanted options such as'),
        ],
    )
    def test_options_that_do_not_fit(self, lora, message):
        with pytest.raises(InputError, match=f'trunk lora=.*{message}'):
            build(lora=lora)

    def test_qkv_that_is_read_past_its_layer(self):
        with pytest.raises(InputError, match='past its layer'):
            build('vit_small_patch16_dinov3', lora=dict(r=2), qkv_bias=True)

    def test_beside_blocks_that_learn(self):
        with pytest.raises(InputError, match='trainable=1 and lora'):
            build(lora=dict(r=2), trainable=1)


def test_without_peft(monkeypatch):
    monkeypatch.setitem(sys.modules, 'peft', None)
    with pytest.raises(InputError, match=r'pip install -r requirements/lora\.txt'):
        build(lora=dict(r=2))
