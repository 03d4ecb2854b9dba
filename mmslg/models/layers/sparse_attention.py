"""Sparse attention: each query looks at a few learned points of a feature pyramid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SparseAttention(nn.Module):
    """Multi-scale deformable attention of Eq. 7-8 of arXiv:2601.02249, after arXiv:2010.04159.

    Per head, every query looks at K points on each of the L levels, around its own place::

        out = output_proj(concat_heads(sum_lk weight_lk * value_l(place + offset_lk)))

    Offsets are in cells of the level and the weights' softmax goes over levels and points together, so they
    sum to 1; outside of a level the value is 0. Autocast reaches ``value_proj`` and ``output_proj``; places,
    weights and sampling stay in the type of the parameters, float32: sampling points in half precision
    would be off by up to a pixel.

    Names of parameters are those of mmcv's ``MultiScaleDeformableAttention``, whose weights fit. An
    untrained attention looks around its place evenly: head h looks into direction h, point k at k + 1 cells.

    Args:
        embed_dims: Width D of queries, features and output.
        num_heads: Heads M; must divide D.
        num_levels: Levels L.
        num_points: Points K per head and level.

    Attributes:
        opaque: Sample by :func:`sample_bilinear_opaque`, which compilers take as it is.

    Raises:
        ValueError: ``num_heads`` does not divide ``embed_dims``.
    """

    def __init__(self, embed_dims: int, num_heads: int = 4, num_levels: int = 3, num_points: int = 4) -> None:
        super().__init__()
        if embed_dims % num_heads:
            raise ValueError(f'num_heads={num_heads} does not divide embed_dims={embed_dims}')
        self.num_heads = num_heads
        self.num_levels = num_levels
        self.num_points = num_points
        num_samples = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(embed_dims, 2 * num_samples)
        self.attention_weights = nn.Linear(embed_dims, num_samples)
        self.value_proj = nn.Linear(embed_dims, embed_dims)
        self.output_proj = nn.Linear(embed_dims, embed_dims)
        self.opaque = False
        self._reset_parameters()

    @torch.no_grad()
    def _reset_parameters(self) -> None:
        angles = torch.arange(self.num_heads) * (2 * math.pi / self.num_heads)
        directions = torch.stack([angles.cos(), angles.sin()], -1)
        directions = directions / directions.abs().amax(-1, keepdim=True)
        distances = torch.arange(1, self.num_points + 1)
        points = directions[:, None, None] * distances[:, None]
        nn.init.zeros_(self.sampling_offsets.weight)
        self.sampling_offsets.bias.copy_(points.expand(-1, self.num_levels, -1, -1).flatten())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(
        self, query: Tensor, feats: Tensor, shapes: Sequence[tuple[int, int]], centers: Tensor
    ) -> Tensor:
        """Gather from the levels what the queries look at.

        Args:
            query: Queries ``(B, N, D)``.
            feats: Features of all levels, one behind the other, ``(B, sum(H_l * W_l), D)``.
            shapes: (H_l, W_l) of each level.
            centers: Place of each query in [0, 1], ``(N, 2)`` as (x, y).

        Returns:
            Features ``(B, N, D)``.
        """
        value_maps = self._value_maps(feats, shapes)
        with torch.autocast(query.device.type, enabled=False):
            dtype = self.value_proj.weight.dtype
            offsets, weights = self._samples(query.to(dtype))
            sample = sample_bilinear_opaque if self.opaque else sample_bilinear
            out: Tensor | None = None
            for level, maps in enumerate(value_maps):
                grid = _grid(offsets[:, level], shapes[level], centers)
                gathered = (sample(maps.to(dtype), grid) * weights[:, level, None]).sum(2)
                out = gathered if out is None else out + gathered
        return self.output_proj(out.view(query.shape[0], -1, query.shape[1]).transpose(1, 2))

    def sampling_points(
        self, query: Tensor, shapes: Sequence[tuple[int, int]], centers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return where each query looks, and how much it takes from there.

        Args:
            query: Queries ``(B, N, D)``.
            shapes: (H_l, W_l) of each level.
            centers: Place of each query in [0, 1], ``(N, 2)`` as (x, y).

        Returns:
            Points ``(B, N, M, L, K, 2)`` as (x, y), in [0, 1] within the image; their weights
            ``(B, N, M, L, K)``, which sum to 1 over levels and points.
        """
        with torch.autocast(query.device.type, enabled=False):
            offsets, weights = self._samples(query.to(self.value_proj.weight.dtype))
            grids = [_grid(offsets[:, level], shape, centers) for level, shape in enumerate(shapes)]
            heads = (len(query), self.num_heads)
            points = (torch.stack(grids, 1).unflatten(0, heads) + 1) / 2
            return points.permute(0, 4, 1, 2, 3, 5), weights.unflatten(0, heads).permute(0, 4, 1, 2, 3)

    def _samples(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return offsets ``(B * M, L, K, 2, N)`` in cells, and weights ``(B * M, L, K, N)``."""
        # Channels first throughout, queries last: memory is read in order, and nothing is transposed.
        samples = (-1, self.num_levels, self.num_points)
        offsets = _project(self.sampling_offsets, query).reshape(*samples, 2, query.shape[1])
        weights = _project(self.attention_weights, query)
        weights = weights.reshape(-1, self.num_levels * self.num_points, query.shape[1]).softmax(1)
        return offsets, weights.view(*samples, query.shape[1])

    def _value_maps(self, feats: Tensor, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Project the features and give each level as maps ``(B * M, D / M, H_l, W_l)``."""
        levels = _project(self.value_proj, feats).split([height * width for height, width in shapes], 2)
        return [
            level.reshape(feats.shape[0] * self.num_heads, -1, height, width)
            for level, (height, width) in zip(levels, shapes)
        ]


def sample_bilinear(maps: Tensor, grid: Tensor) -> Tensor:
    """Read maps between their cells; outside of a map the value is 0.

    Args:
        maps: ``(B, C, H, W)``.
        grid: Places ``(B, K, N, 2)`` as (x, y), -1 and 1 at the borders.

    Returns:
        Values ``(B, C, K, N)``.
    """
    return F.grid_sample(maps, grid, align_corners=False)


@torch.library.custom_op('mmslg::sample_bilinear', mutates_args=())
def sample_bilinear_opaque(maps: Tensor, grid: Tensor) -> Tensor:
    """:func:`sample_bilinear` as one operator that a compiler does not look into.

    On CPUs inductor's own code for it, gathers cell by cell, is some five times slower than the operator.
    """
    return sample_bilinear(maps, grid)


@sample_bilinear_opaque.register_fake
def _(maps: Tensor, grid: Tensor) -> Tensor:
    return maps.new_empty(*maps.shape[:2], *grid.shape[1:3])


def _keep_inputs(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _sample_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
    maps, grid = ctx.saved_tensors
    backward = torch.ops.aten.grid_sampler_2d_backward
    # Bilinear, zeros outside, corners not aligned; gradients of both inputs.
    return backward(grad.contiguous(), maps, grid, 0, 0, False, [True, True])


sample_bilinear_opaque.register_autograd(_sample_backward, setup_context=_keep_inputs)


def _grid(offsets: Tensor, shape: tuple[int, int], centers: Tensor) -> Tensor:
    """Return a level's sampling points as ``grid_sample`` wants them, from -1 to 1 between the borders.

    Args:
        offsets: ``(B * M, K, 2, N)`` in cells of the level.
        shape: (H, W) of the level.
        centers: Place of each query in [0, 1], ``(N, 2)``.

    Returns:
        Points ``(B * M, K, N, 2)`` as (x, y).
    """
    height, width = shape
    places = (2 * centers - 1).to(offsets.dtype)
    delta_x, delta_y = offsets.unbind(2)
    return torch.stack([places[:, 0] + 2 / width * delta_x, places[:, 1] + 2 / height * delta_y], -1)


def _project(layer: nn.Linear, tokens: Tensor) -> Tensor:
    """Apply a linear layer to ``(B, N, D)`` and give its channels first, ``(B, D', N)``."""
    return layer.weight @ tokens.transpose(1, 2) + layer.bias[:, None]
