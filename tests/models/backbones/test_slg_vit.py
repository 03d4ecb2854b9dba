import copy

import pytest
import torch

from mmslg.errors import InputError
from mmslg.models import SLGViT


def build(name='vit_small_patch14_dinov2', depth=4, **kwargs):
    kwargs.setdefault('structure', dict(stem_dims=(8, 16), level_dims=(16, 16, 24), out_dims=24))
    torch.manual_seed(0)
    trunk = dict(name=name, depth=depth, embed_dim=48, num_heads=3, init_values=0.5)
    return SLGViT(trunk=trunk, **kwargs)


def trained(**kwargs):
    backbone = build(**kwargs)
    for adapter in backbone.adapters:
        torch.nn.init.normal_(adapter.gamma)
        torch.nn.init.normal_(adapter.attention.sampling_offsets.weight, std=0.05)
        torch.nn.init.normal_(adapter.attention.attention_weights.weight, std=0.05)
    return backbone


def pair(height=64, width=96, batch=1):
    return dict(rgb=torch.randn(batch, 3, height, width), ir=torch.randn(batch, 3, height, width), text=None)


@pytest.mark.parametrize('indexes', [None, (0, 1, 2, 3), (3,), (1,)])
@pytest.mark.parametrize(
    'name', ['vit_small_patch14_dinov2', 'vit_small_patch14_reg4_dinov2', 'vit_small_patch16_dinov3']
)
def test_untrained_output_is_the_frozen_trunks(name, indexes):
    backbone = build(name, interaction_indexes=indexes)
    backbone.train()
    inputs = pair(batch=2)
    out = backbone(inputs)
    expected = backbone.trunk.vit.forward_intermediates(
        inputs['rgb'], indices=[3], norm=True, intermediates_only=True
    )[0]
    assert out.maps[0].shape == (2, 48, 4, 6)
    assert (out.maps[0] - expected).abs().max() <= 1e-5


def test_default_is_four_stages_and_twelve_work():
    assert build(depth=12).interaction_indexes == (2, 5, 8, 11)
    assert build(depth=2).interaction_indexes == (0, 1)
    backbone = build(depth=12, interaction_indexes=range(12))
    assert len(backbone.adapters) == 12
    assert backbone(pair()).maps[0].isfinite().all()


def test_infrared_reaches_the_output():
    backbone, inputs = trained(), pair()
    changed = {**inputs, 'ir': inputs['ir'] + torch.randn_like(inputs['ir'])}
    assert not torch.allclose(backbone(inputs).maps[0], backbone(changed).maps[0])


def test_evolved_features_are_what_the_next_stage_gets(monkeypatch):
    backbone, seen, evolved = trained(), [], []
    for adapter in backbone.adapters:
        forward, evolve = adapter.forward, adapter.evolve
        monkeypatch.setattr(
            adapter, 'forward', lambda t, s, *rest, forward=forward: (seen.append(s), forward(t, s, *rest))[1]
        )
        monkeypatch.setattr(
            adapter, 'evolve', lambda s, evolve=evolve: (evolved.append(evolve(s)), evolved[-1])[1]
        )
    backbone(pair())
    assert len(seen) == 4 and len(evolved) == 3
    for before, after, handed in zip(seen, seen[1:], evolved):
        assert after is handed and not torch.allclose(before, after)


@pytest.mark.parametrize('with_cp', [False, True])
def test_every_trainable_parameter_gets_a_gradient_and_the_trunk_none(with_cp):
    backbone = trained(with_cp=with_cp)
    backbone.train()
    (backbone(pair()).maps[0] * torch.randn(1, 48, 4, 6)).sum().backward()
    for name, param in backbone.named_parameters():
        if name.startswith('trunk.'):
            assert param.grad is None
        else:
            assert param.grad is not None and param.grad.abs().max() > 0, name


def test_checkpointing_changes_no_gradient():
    plain, checkpointed = trained(), trained(with_cp=True)
    inputs = pair()
    for backbone in (plain, checkpointed):
        backbone.train()(inputs).maps[0].square().sum().backward()
    for (name, a), b in zip(plain.named_parameters(), checkpointed.parameters()):
        if a.requires_grad:
            torch.testing.assert_close(a.grad, b.grad, msg=name)


def test_first_blocks_build_no_graph(monkeypatch):
    backbone, asked = trained(), []
    run_blocks = backbone.trunk.run_blocks
    monkeypatch.setattr(
        backbone.trunk,
        'run_blocks',
        lambda tokens, *rest: (asked.append(tokens.requires_grad), run_blocks(tokens, *rest))[1],
    )
    backbone(pair())
    assert asked == [False, True, True, True, True]


def test_trunk_is_untouched_by_init_ema_and_training():
    from mmengine.model import ExponentialMovingAverage

    backbone = build()
    before = copy.deepcopy(backbone.trunk.state_dict())
    backbone.init_weights()
    backbone.train()
    average = ExponentialMovingAverage(backbone, momentum=0.3)
    trainable = [p for p in backbone.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=0.1, weight_decay=0.1)
    start = [p.detach().clone() for p in trainable]
    for _ in range(3):
        optimizer.zero_grad()
        backbone(pair()).maps[0].square().sum().backward()
        optimizer.step()
        average.update_parameters(backbone)
    for trunk in (backbone.trunk, average.module.trunk):
        assert not any(m.training for m in trunk.modules())
        assert all(torch.equal(v, before[k]) for k, v in trunk.state_dict().items())
    assert all(not torch.equal(p, s) for p, s in zip(trainable, start))


def test_layer_depths():
    backbone = build(interaction_indexes=(1, 3))
    assert backbone.get_layer_depth('backbone.trunk.vit.cls_token') == (0, 3)
    assert backbone.get_layer_depth('backbone.adapters.0.gamma') == (1, 3)
    assert backbone.get_layer_depth('backbone.adapters.1.up.weight') == (2, 3)
    assert backbone.get_layer_depth('backbone.structure_encoder.stem.0.0.weight') == (2, 3)
    assert backbone.get_layer_depth('bbox_head.conv.weight') == (2, 3)


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        (torch.zeros(1, 3, 64, 64), r'wants dict\(rgb, ir, text\), got Tensor'),
        (dict(rgb=torch.zeros(1, 3, 64, 64)), r"wants dict\(rgb, ir, text\), got \['rgb'\]"),
        (
            dict(rgb=torch.zeros(1, 3, 64, 64), ir=torch.zeros(1, 3, 64, 32)),
            r'wanted rgb and ir \(B, 3, H, W\)',
        ),
        (
            dict(rgb=torch.zeros(1, 3, 64, 80), ir=torch.zeros(1, 3, 64, 80)),
            '80x64 pixels, not divisible by the stride 32',
        ),
    ],
)
def test_other_inputs_are_refused(inputs, message):
    with pytest.raises(InputError, match=message):
        build()(inputs)


@pytest.mark.parametrize('indexes', [(1, 0), (0, 0), (4,), (-1, 2)])
def test_indexes_must_ascend_within_the_trunk(indexes):
    with pytest.raises(InputError, match='must ascend within 0-3'):
        build(interaction_indexes=indexes)


def test_init_cfg_is_refused():
    with pytest.raises(InputError, match=r'trunk=dict\(checkpoint=...\)'):
        build(init_cfg=dict(type='Pretrained', checkpoint='x.pth'))


@pytest.mark.parametrize('seen', ['rgb', 'ir'])
def test_the_trunk_sees_the_image_that_is_asked_for(seen):
    backbone = build(trunk_input=seen)
    images = pair()
    tokens, rope = backbone.trunk.embed(images[seen])
    alone = backbone.trunk.norm(backbone.trunk.run_blocks(tokens, 0, 4, rope))[:, 1:]
    torch.testing.assert_close(backbone(images).maps[0].flatten(2).transpose(1, 2), alone)
    other = 'ir' if seen == 'rgb' else 'rgb'
    learnt = trained(trunk_input=seen)
    assert not torch.equal(learnt(images).maps[0], learnt({**images, other: -images[other]}).maps[0])


def test_another_image_is_refused():
    with pytest.raises(InputError, match="trunk_input='both': wanted 'rgb', 'ir', 'mean'"):
        build(trunk_input='both')


def test_the_mean_is_an_embedding_of_six_channels_with_the_frozen_kernel_twice_and_halved():
    backbone, images = build(trunk_input='mean', interaction_indexes=[]), pair()
    frozen = backbone.trunk.vit.patch_embed.proj
    six = torch.nn.Conv2d(6, frozen.out_channels, frozen.kernel_size, frozen.stride)
    six.weight.data = torch.cat([frozen.weight, frozen.weight], 1) / 2
    six.bias.data = frozen.bias
    expected = six(torch.cat([images['rgb'], images['ir']], 1))
    seen = []
    frozen.register_forward_hook(lambda module, args, out: seen.append(out))
    backbone(images)
    torch.testing.assert_close(seen[0], expected)


def test_without_structure_it_is_the_bare_trunk():
    backbone = build(interaction_indexes=[])
    assert backbone.structure_encoder is None and len(backbone.adapters) == 0
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert backbone.get_layer_depth('backbone.trunk.vit.norm.bias') == (0, 1)
    images = pair(height=48)  # multiples of a patch will do
    out = backbone(images).maps[0]
    assert torch.equal(out, backbone({**images, 'ir': -images['ir']}).maps[0])
    bare = backbone.trunk.vit.forward_intermediates(
        images['rgb'], indices=[3], norm=True, intermediates_only=True
    )
    torch.testing.assert_close(out, bare[0])


def test_depths_beside_blocks_that_learn():
    torch.manual_seed(0)
    trunk = dict(name='vit_small_patch14_dinov2', depth=4, embed_dim=48, num_heads=3, trainable=2)
    backbone = SLGViT(trunk=trunk, interaction_indexes=(1, 3))
    depths = {
        'trunk.vit.pos_embed': 0, 'trunk.vit.blocks.0.norm1.bias': 1, 'trunk.vit.blocks.3.norm1.bias': 4,
        'trunk.vit.norm.bias': 5, 'adapters.0.gamma': 4, 'adapters.1.gamma': 5, 'structure_encoder.x': 5,
    }  # fmt: skip
    assert {name: backbone.get_layer_depth(f'backbone.{name}') for name in depths} == {
        name: (depth, 6) for name, depth in depths.items()
    }
