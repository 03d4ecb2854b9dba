import pytest
import torch

from mmslg.models.layers import StructureEncoder


def test_strides_and_channels():
    encoder = StructureEncoder(stem_dims=(8, 16), level_dims=(16, 24, 32), out_dims=48)
    maps = encoder(torch.rand(2, 3, 64, 96), torch.rand(2, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(2, 48, 8, 12), (2, 48, 4, 6), (2, 48, 2, 3)]


def test_kernels_grow_with_depth():
    assert [level[0].kernel_size for level in StructureEncoder().levels] == [(3, 3), (5, 5), (7, 7)]


def test_both_modalities_share_the_stem_and_the_stages():
    encoder = StructureEncoder(stem_dims=(8, 8), level_dims=(8, 8, 8), out_dims=8).eval()
    image, other = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    for rgb, ir in encoder.modality_maps(image, image):
        torch.testing.assert_close(rgb, ir)
    torch.testing.assert_close(
        encoder.modality_maps(image, other)[0][1], encoder.modality_maps(other, image)[0][0]
    )


def test_three_levels_are_due():
    with pytest.raises(ValueError, match='3 level_dims and 3 kernel_sizes'):
        StructureEncoder(level_dims=(8, 8))
