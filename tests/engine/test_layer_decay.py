import pytest
import torch
from helpers import ROOT
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmslg.errors import InputError
from mmslg.models import SLGViT

SMALL = dict(stem_dims=(8, 8), level_dims=(8, 8, 8), out_dims=12)


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = SLGViT(
            trunk=dict(name='vit_small_patch14_dinov2', depth=4, embed_dim=24, num_heads=2), structure=SMALL
        )
        self.head = nn.Linear(2, 3)


def wrapper(model, **paramwise):
    return build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            constructor='mmslg.LayerDecayOptimWrapperConstructor',
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            paramwise_cfg=paramwise,
        ),
    )


def test_groups_are_the_articles():
    model = Detector()
    groups = wrapper(model, decay_rate=0.7).optimizer.param_groups
    # Four adapters: 0.7^3, 0.7^2, 0.7, 1; vectors decay not. The last group holds everything else, too.
    assert [(round(g['lr'], 6), g['weight_decay']) for g in groups] == [
        (0.343, 0.0), (0.343, 0.1), (0.49, 0.0), (0.49, 0.1), (0.7, 0.0), (0.7, 0.1), (1.0, 0.0), (1.0, 0.1),
    ]  # fmt: skip
    names = [set(g['param_names']) for g in groups]
    assert names[0] >= {'backbone.adapters.0.gamma', 'backbone.adapters.0.down.bias'}
    assert 'backbone.adapters.2.attention.value_proj.weight' in names[5]
    assert names[6] >= {'head.bias', 'backbone.structure_encoder.stem.0.1.weight'}
    assert names[7] >= {
        'head.weight',
        'backbone.structure_encoder.stem.0.0.weight',
        'backbone.adapters.3.up.weight',
    }
    grouped = [n for group in names for n in group]
    assert sorted(grouped) == sorted(n for n, p in model.named_parameters() if p.requires_grad)


@pytest.mark.parametrize('paramwise', [dict(decay_rate=0.7, custom_keys={}), dict(norm_decay_mult=0.0)])
def test_other_keys_are_refused(paramwise):
    with pytest.raises(InputError, match=r'wants paramwise_cfg=dict\(decay_rate=...\)'):
        wrapper(Detector(), **paramwise)


def test_a_backbone_without_depths_is_refused():
    model = nn.Module()
    model.backbone = nn.Linear(2, 2)
    with pytest.raises(InputError, match='Linear has no get_layer_depth'):
        wrapper(model, decay_rate=0.7)


class Queries(nn.Module):
    """What a DETR holds beside layers: embeddings of queries, labels and levels, and PyTorch's attention."""

    def __init__(self):
        super().__init__()
        self.backbone = SLGViT(
            trunk=dict(name='vit_small_patch14_dinov2', depth=1, embed_dim=24, num_heads=2), structure=SMALL
        )
        self.query_embedding = nn.Embedding(3, 4)
        self.label_embedding = nn.Embedding(3, 4)
        self.level_embed = nn.Parameter(torch.zeros(4, 4))
        self.reference_points = nn.Embedding(3, 2)
        self.attention = nn.MultiheadAttention(4, 2)
        self.norm = nn.LayerNorm(4)
        self.conv = nn.Conv2d(4, 4, 3)
        for parameter in (
            *self.backbone.adapters.parameters(),
            *self.backbone.structure_encoder.parameters(),
        ):
            parameter.requires_grad_(False)


def test_weight_decay_leaves_embeddings_alone():
    groups = wrapper(Queries(), decay_rate=0.7).optimizer.param_groups
    assert [(g['lr'], g['weight_decay'], g['param_names']) for g in groups] == [
        (1.0, 0.0, [
            'level_embed', 'query_embedding.weight', 'label_embedding.weight', 'reference_points.weight',
            'attention.in_proj_bias', 'attention.out_proj.bias', 'norm.weight', 'norm.bias', 'conv.bias',
        ]),
        (1.0, 0.1, ['attention.in_proj_weight', 'attention.out_proj.weight', 'conv.weight']),
    ]  # fmt: skip


def test_dinos_embeddings_take_no_weight_decay():
    cfg = Config.fromfile(ROOT / 'configs/slgnet_flir.py')
    cfg.model.backbone = dict(trunk=dict(name='vit_small_patch14_dinov2', depth=1, embed_dim=24, num_heads=2))
    cfg.model.backbone.update(type='mmslg.SLGViT', structure=SMALL)
    cfg.model.encoder.num_layers = cfg.model.decoder.num_layers = 1
    for neck in cfg.model.neck:
        neck.in_channels = 24
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    groups = wrapper(model, decay_rate=0.7).optimizer.param_groups
    decaying = {n for g in groups if g['weight_decay'] for n in g['param_names']}
    matrices = {n for n, p in model.named_parameters() if p.requires_grad and p.ndim > 1}
    assert matrices - decaying == {
        'query_embedding.weight', 'level_embed', 'dn_query_generator.label_embedding.weight',
    }  # fmt: skip
    grouped = [n for g in groups for n in g['param_names']]
    assert sorted(grouped) == sorted(n for n, p in model.named_parameters() if p.requires_grad)


def learning_trunk(**trunk):
    model = Detector()
    torch.manual_seed(0)
    model.backbone = SLGViT(
        trunk=dict(name='vit_small_patch14_reg4_dinov2', depth=2, embed_dim=24, num_heads=2, **trunk),
        structure=SMALL,
    )
    return model


def groups_by_rate(model):
    groups = wrapper(model, decay_rate=0.5).optimizer.param_groups
    grouped = [n for g in groups for n in g['param_names']]
    assert sorted(grouped) == sorted(n for n, p in model.named_parameters() if p.requires_grad)
    return {
        (g['lr'], g['weight_decay'] > 0): {n for n in g['param_names'] if n.startswith('backbone.trunk.')}
        for g in groups
    }


def test_rates_fall_over_the_blocks_of_a_trunk_that_learns():
    trunk = groups_by_rate(learning_trunk(trainable='all'))
    # Embedding 0.5^3, block 0 0.5^2, block 1 (the last) 0.5, final norm and adapter 1 at the full rate.
    assert set(trunk) == {(0.5**i, decays) for i in range(4) for decays in (True, False)}
    assert trunk[0.125, True] == {'backbone.trunk.vit.patch_embed.proj.weight'}
    assert trunk[0.125, False] == {
        f'backbone.trunk.vit.{n}' for n in ('cls_token', 'reg_token', 'pos_embed', 'patch_embed.proj.bias')
    }
    matrices = ('attn.qkv.weight', 'attn.proj.weight', 'mlp.fc1.weight', 'mlp.fc2.weight')
    assert trunk[0.25, True] == {f'backbone.trunk.vit.blocks.0.{n}' for n in matrices}
    assert trunk[0.5, True] == {f'backbone.trunk.vit.blocks.1.{n}' for n in matrices}
    assert trunk[1.0, True] == set()
    assert trunk[1.0, False] == {'backbone.trunk.vit.norm.weight', 'backbone.trunk.vit.norm.bias'}


def test_adapters_keep_their_rates_beside_a_trunk_that_learns():
    groups = wrapper(learning_trunk(trainable=1), decay_rate=0.5).optimizer.param_groups
    rates = {n: g['lr'] for g in groups for n in g['param_names']}
    assert (rates['backbone.adapters.0.gamma'], rates['backbone.adapters.1.gamma']) == (0.5, 1.0)
    assert (rates['head.weight'], rates['backbone.structure_encoder.stem.0.0.weight']) == (1.0, 1.0)
    assert rates['backbone.trunk.vit.blocks.1.attn.qkv.weight'] == 0.5
    assert not any('blocks.0.' in n for n in rates)


def test_low_rank_updates_learn_as_the_adapter_behind_them():
    pytest.importorskip('peft')
    trunk = groups_by_rate(learning_trunk(lora=dict(r=2)))
    assert all('.blocks.0.' in n and 'lora_' in n for n in trunk[0.5, True])
    assert all('.blocks.1.' in n and 'lora_' in n for n in trunk[1.0, True])
    assert len(trunk[0.5, True]) == len(trunk[1.0, True]) == 4


def test_frozen_parameters_never_reach_the_optimizer():
    model = Detector()
    optimizer = wrapper(model, decay_rate=0.7).optimizer
    trunk = {id(p) for p in model.backbone.trunk.parameters()}
    assert not trunk & {id(p) for g in optimizer.param_groups for p in g['params']}
    assert isinstance(optimizer, torch.optim.AdamW)
