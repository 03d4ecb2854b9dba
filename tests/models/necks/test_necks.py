import re

import pytest
import torch

from mmslg.errors import InputError
from mmslg.models import LanguageGuidedModulation, SimpleFeaturePyramid
from mmslg.models.outputs import BackboneOutput


def output(text=None):
    return BackboneOutput((torch.randn(2, 8, 4, 6),), text)


def test_modulation_keeps_shape_and_text():
    lgm, inputs = LanguageGuidedModulation(8, text_dims=6), output(torch.randn(2, 4, 6))
    result = lgm(inputs)
    assert torch.equal(result.maps[0], inputs.maps[0]) and result.text is inputs.text
    torch.nn.init.ones_(lgm.modulation.shift[-1].bias)
    torch.testing.assert_close(lgm(inputs).maps[0], inputs.maps[0] + 1)


def test_modulation_without_text_is_refused():
    with pytest.raises(InputError, match=r'got no text; give caption_store='):
        LanguageGuidedModulation(8)(output())


def test_text_of_another_width_is_refused():
    with pytest.raises(InputError, match=r'\(text_dims=512\) got captions of width 384'):
        LanguageGuidedModulation(8, text_dims=512)(output(torch.zeros(2, 4, 384)))


@pytest.mark.parametrize('strides', [(8, 16, 32, 64), (4, 8, 16, 32, 64), (8, 16, 32, 64, 128)])
def test_pyramid_strides(strides):
    pyramid = SimpleFeaturePyramid(16, out_channels=12, out_strides=strides)
    levels = pyramid(BackboneOutput((torch.randn(1, 16, 16, 24),)))
    assert [tuple(lvl.shape) for lvl in levels] == [(1, 12, 256 // s, 384 // s) for s in strides]
    assert all(lvl.is_contiguous() for lvl in levels)


def test_pyramid_sizes_round_up_like_a_heads_grid():
    levels = SimpleFeaturePyramid(16, out_strides=(32, 64))(BackboneOutput((torch.randn(1, 16, 6, 10),)))
    assert [tuple(lvl.shape[-2:]) for lvl in levels] == [(3, 5), (2, 3)]


@pytest.mark.parametrize('strides', [(8, 16, 64, 128, 256), (64, 8, 32)])
def test_shared_poolings_change_no_level(strides):
    pyramid = SimpleFeaturePyramid(8, 8, out_strides=strides)
    feats = torch.randn(1, 8, 15, 22)
    for level, out in zip(pyramid.levels.values(), pyramid(BackboneOutput((feats,), None))):
        assert torch.equal(level(feats), out)


def test_odd_stride_is_refused():
    with pytest.raises(InputError, match='times a power of two, got 24'):
        SimpleFeaturePyramid(16, out_strides=(24,))


def counted(pyramid, strides):
    """The state of a pyramid as older checkpoints hold it: levels are counted."""
    state = pyramid.state_dict()
    return {
        re.sub(r'levels\.s(\d+)', lambda m: f'levels.{strides.index(int(m[1]))}', name): value
        for name, value in state.items()
    }


@pytest.mark.parametrize('strides', [(2, 4, 8, 16, 32, 64, 128, 256), (8, 16, 32, 64), (64, 8)])
def test_levels_are_keyed_by_stride_and_older_checkpoints_load(strides):
    pyramid, other = (SimpleFeaturePyramid(16, out_channels=12, out_strides=strides) for _ in range(2))
    assert {name.split('.')[1] for name in pyramid.state_dict()} == {f's{stride}' for stride in strides}
    old = counted(pyramid, strides)
    assert 'levels.0.0.weight' in old or strides[0] > 16
    other.load_state_dict(old)
    assert all(torch.equal(value, pyramid.state_dict()[name]) for name, value in other.state_dict().items())


def test_a_level_goes_to_the_level_of_its_stride():
    """From a head of strides 8-64 to one of 4-64: counted keys would put stride 8 into stride 4."""
    source = SimpleFeaturePyramid(16, out_channels=12)
    target = SimpleFeaturePyramid(16, out_channels=12, out_strides=(4, 8, 16, 32, 64))
    before = target.state_dict()['levels.s4.0.weight'].clone()
    missing, unexpected = target.load_state_dict(counted(source, (8, 16, 32, 64)), strict=False)
    assert {name.split('.')[1] for name in missing} == {'s4'} and not unexpected
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name
    assert torch.equal(target.state_dict()['levels.s4.0.weight'], before)
