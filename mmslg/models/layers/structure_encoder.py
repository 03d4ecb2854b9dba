"""Structure encoder (S-Encoder): a small pyramid of edges of both modalities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmslg.models.layers.structural_alignment import HierarchicalStructuralAlignment


def _conv(in_dims: int, out_dims: int, kernel_size: int, num_groups: int = 8) -> nn.Sequential:
    # GroupNorm: one image a GPU is the usual batch, and both modalities share the layer.
    return nn.Sequential(
        nn.Conv2d(in_dims, out_dims, kernel_size, stride=2, padding=kernel_size // 2, bias=False),
        nn.GroupNorm(num_groups, out_dims),
        nn.ReLU(inplace=True),
    )


class StructureEncoder(nn.Module):
    """Both images to one structural pyramid, Section III-A and Eq. 2 of arXiv:2601.02249.

    A stem shared by both modalities (stride 4), then stages of stride 2 with growing kernels, shared
    too; at each level HSA fuses the two, and a 1x1 convolution brings the level to ``out_dims``. The
    fused maps are projected rather than the maps of each modality, which costs half.

    Args:
        stem_dims: Channels of the two stem convolutions.
        level_dims: Channels of each level, multiples of 8.
        kernel_sizes: Kernel of each level, finest first.
        out_dims: Channels of the returned maps.
        alignment: Options of :class:`HierarchicalStructuralAlignment`.

    Example:
        >>> maps = StructureEncoder()(torch.rand(1, 3, 512, 640), torch.rand(1, 3, 512, 640))
        >>> [tuple(m.shape) for m in maps]
        [(1, 128, 64, 80), (1, 128, 32, 40), (1, 128, 16, 20)]
    """

    strides = (8, 16, 32)

    def __init__(
        self,
        stem_dims: tuple[int, int] = (24, 48),
        level_dims: Sequence[int] = (64, 96, 128),
        kernel_sizes: Sequence[int] = (3, 5, 7),
        out_dims: int = 128,
        alignment: dict | None = None,
    ) -> None:
        super().__init__()
        if len(level_dims) != 3 or len(kernel_sizes) != 3:
            raise ValueError(f'wanted 3 level_dims and 3 kernel_sizes, got {level_dims} and {kernel_sizes}')
        self.stem = nn.Sequential(_conv(3, stem_dims[0], 3), _conv(stem_dims[0], stem_dims[1], 3))
        dims = (stem_dims[1], *level_dims)
        self.levels = nn.ModuleList(
            _conv(dims[i], dims[i + 1], kernel) for i, kernel in enumerate(kernel_sizes)
        )
        self.projections = nn.ModuleList(nn.Conv2d(d, out_dims, 1) for d in level_dims)
        self.alignment = HierarchicalStructuralAlignment(**(alignment or {}))
        self.to(memory_format=torch.channels_last)  # convolutions then give and take channels last

    def modality_maps(self, rgb: Tensor, ir: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the (visible, infrared) features of each level before they are fused."""
        feats = self.stem(torch.cat([rgb, ir]).contiguous(memory_format=torch.channels_last))
        maps = []
        for level in self.levels:
            feats = level(feats)
            maps.append(tuple(feats.tensor_split(2)))
        return maps

    def forward(self, rgb: Tensor, ir: Tensor) -> list[Tensor]:
        """Encode a pair.

        Args:
            rgb: Normalised visible images ``(B, 3, H, W)``, H and W multiples of 32.
            ir: Normalised infrared images of the same shape.

        Returns:
            Fused maps ``(B, out_dims, H/s, W/s)`` for s = 8, 16, 32.
        """
        maps = self.modality_maps(rgb, ir)
        return [project(self.alignment(*pair)) for project, pair in zip(self.projections, maps)]
