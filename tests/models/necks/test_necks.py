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


def test_odd_stride_is_refused():
    with pytest.raises(InputError, match='times a power of two, got 24'):
        SimpleFeaturePyramid(16, out_strides=(24,))
