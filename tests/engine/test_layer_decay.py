import pytest
import torch
from mmengine.optim import build_optim_wrapper
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


def test_frozen_parameters_never_reach_the_optimizer():
    model = Detector()
    optimizer = wrapper(model, decay_rate=0.7).optimizer
    trunk = {id(p) for p in model.backbone.trunk.parameters()}
    assert not trunk & {id(p) for g in optimizer.param_groups for p in g['params']}
    assert isinstance(optimizer, torch.optim.AdamW)
