"""Modulation of feature maps by a structured caption."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CaptionModulation(nn.Module):
    """Scale and shift of every channel from the four parts of a caption.

    Implements Eq. 10-13 of arXiv:2601.02249::

        sem = MLP_proj(concat(text))                  four parts side by side     (Eq. 10-11)
        scale, shift = MLP_scale(pool(sem)), MLP_shift(pool(sem))                 (Eq. 12)
        out = (scale + 1) * feats + shift                                         (Eq. 13)

    The last layers start at zero, so an untrained modulation is the identity.

    Args:
        text_dims: Width d of the text embedding of one part.
        embed_dims: Channels C of the features.
        hidden_dims: Width of the MLPs.
        num_parts: Parts of a caption.
    """

    def __init__(self, text_dims: int, embed_dims: int, hidden_dims: int = 256, num_parts: int = 4) -> None:
        super().__init__()
        self.text_dims = text_dims
        self.num_parts = num_parts
        self.projection = nn.Sequential(
            nn.Linear(num_parts * text_dims, hidden_dims), nn.GELU(), nn.Linear(hidden_dims, hidden_dims)
        )
        self.scale = self._head(hidden_dims, embed_dims)
        self.shift = self._head(hidden_dims, embed_dims)

    @staticmethod
    def _head(hidden_dims: int, embed_dims: int) -> nn.Sequential:
        head = nn.Sequential(
            nn.Linear(hidden_dims, hidden_dims), nn.GELU(), nn.Linear(hidden_dims, embed_dims)
        )
        nn.init.zeros_(head[-1].weight)
        nn.init.zeros_(head[-1].bias)
        return head

    def parameters_of(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Return scale and shift ``(B, C)`` of a caption (Eq. 10-12).

        Args:
            text: Pooled embeddings ``(B, P, d)`` or tokens ``(B, P, L, d)``; a token of zeros is padding
                and counts in no mean.

        Raises:
            ValueError: The shape does not fit.
        """
        if text.ndim not in (3, 4) or text.shape[1] != self.num_parts or text.shape[-1] != self.text_dims:
            raise ValueError(
                f'wanted caption embeddings (B, {self.num_parts}, {self.text_dims}) or '
                f'(B, {self.num_parts}, L, {self.text_dims}), got {tuple(text.shape)}'
            )
        if text.ndim == 3:
            text = text.unsqueeze(2)
        text = text.transpose(1, 2).flatten(2)
        present = (text != 0).any(-1, keepdim=True)
        sem = self.projection(text) * present
        pooled = sem.sum(1) / present.sum(1).clamp(min=1)
        return self.scale(pooled), self.shift(pooled)

    def forward(self, feats: Tensor, text: Tensor) -> Tensor:
        """Modulate feature maps (Eq. 13).

        Args:
            feats: Feature maps ``(B, C, H, W)``.
            text: Caption embeddings, see :meth:`parameters_of`.

        Returns:
            Feature maps ``(B, C, H, W)``.
        """
        return self.modulate(feats, *self.parameters_of(text))

    @staticmethod
    def modulate(feats: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Modulate feature maps ``(B, C, H, W)`` by scale and shift, ``(B, C)`` or ``(1, C)`` (Eq. 13)."""
        return torch.addcmul(shift[:, :, None, None], feats, scale[:, :, None, None] + 1)
