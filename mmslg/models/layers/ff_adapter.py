"""Feature-fusion adapter (FF-Adapter): structure into the tokens of a frozen ViT."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def token_centers(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Centres of a grid's cells in [0, 1], half-pixel convention, row by row.

    Returns:
        Points ``(height * width, 2)`` as (x, y).
    """
    ys = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height
    xs = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width
    grid_y, grid_x = torch.meshgrid(ys, xs, indexing='ij')
    return torch.stack([grid_x.flatten(), grid_y.flatten()], -1)


def flatten_levels(maps: Sequence[Tensor]) -> tuple[Tensor, tuple[tuple[int, int], ...]]:
    """Lay the levels of a pyramid one behind the other.

    Args:
        maps: Levels ``(B, D, H_l, W_l)``.

    Returns:
        Features ``(B, sum(H_l * W_l), D)`` and (H_l, W_l) of each level.
    """
    shapes = tuple((m.shape[2], m.shape[3]) for m in maps)
    return torch.cat([m.flatten(2).transpose(1, 2) for m in maps], 1), shapes


class FeatureFusionAdapter(nn.Module):
    """Sparse attention from patch tokens to the structural pyramid, and the pyramid's evolution.

    Implements Eq. 7-9 of arXiv:2601.02249. Each patch token attends to a few learned points on every
    level, and the result is added to it (Eq. 7-8)::

        tokens = tokens + gamma * up(attention(down(norm(tokens)), struct_feats))

    Afterwards the structural features move on by ``struct + MLP(norm(struct))`` (Eq. 9), and what has
    evolved is what the next stage sees. Departures: the attention works in a bottleneck as wide as the
    structural features, and ``gamma`` starts at zero, so that an untrained adapter changes nothing.

    Args:
        embed_dims: Width C of the tokens.
        struct_dims: Width D of the structural features and of the bottleneck.
        attention: Attention of width D, with the call signature of :class:`SparseAttention`.
        evolve_dims: Hidden width of the evolution's MLP; 0 builds none (the last stage needs none).
    """

    def __init__(
        self, embed_dims: int, struct_dims: int, attention: nn.Module, evolve_dims: int = 64
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(embed_dims)
        self.down = nn.Linear(embed_dims, struct_dims)
        self.attention = attention
        self.up = nn.Linear(struct_dims, embed_dims)
        self.gamma = nn.Parameter(torch.zeros(embed_dims))
        self.evolution = None
        if evolve_dims:
            self.evolution = nn.Sequential(
                nn.LayerNorm(struct_dims),
                nn.Linear(struct_dims, evolve_dims),
                nn.GELU(),
                nn.Linear(evolve_dims, struct_dims),
            )

    def forward(
        self,
        tokens: Tensor,
        struct_feats: Tensor,
        shapes: Sequence[tuple[int, int]],
        centers: Tensor,
    ) -> Tensor:
        """Inject structure into the tokens (Eq. 7-8).

        Args:
            tokens: Patch tokens ``(B, N, C)``, without class and register tokens.
            struct_feats: Structural features ``(B, sum(H_l * W_l), D)``.
            shapes: (H_l, W_l) of each level.
            centers: Centre of each token in [0, 1], ``(N, 2)`` as (x, y).

        Returns:
            Tokens ``(B, N, C)``.
        """
        sampled = self.attention(self.down(self.norm(tokens)), struct_feats, shapes, centers)
        return tokens + self.gamma * self.up(sampled)

    def evolve(self, struct_feats: Tensor) -> Tensor:
        """Return the structural features that the next stage sees (Eq. 9), of the same shape."""
        if self.evolution is None:
            raise RuntimeError('this adapter was built with evolve_dims=0: it is the last of its stages')
        return struct_feats + self.evolution(struct_feats)
