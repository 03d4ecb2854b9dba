"""Sobel gradient of feature maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SobelGradient(nn.Module):
    """Edge strength of a feature map, the operator of Eq. 2 of arXiv:2601.02249.

    The kernels are divided by 8, so a ramp that grows by 1 per pixel has magnitude 1. Borders are
    replicated: the frame of the image is no edge. Computed in float32.

    Args:
        reduce_first: Average the channels before the gradient, as the published listing does. Opposite
            edges in two channels then cancel; by default each channel's magnitude is taken first.

    Example:
        >>> SobelGradient()(torch.rand(2, 64, 40, 32)).shape
        torch.Size([2, 1, 40, 32])
    """

    def __init__(self, reduce_first: bool = False) -> None:
        super().__init__()
        self.reduce_first = reduce_first

    def forward(self, feats: Tensor) -> Tensor:
        """Return the gradient magnitude, averaged over the channels.

        Args:
            feats: Feature map ``(B, C, H, W)``.

        Returns:
            Magnitude ``(B, 1, H, W)``, >= 0, float32.
        """
        feats = feats.float()
        if self.reduce_first:
            feats = feats.mean(1, keepdim=True)
        # Not F.pad: inductor of torch 2.8 mistakes the strides of its gradient where channels come last.
        feats = torch.cat([feats[:, :, :1], feats, feats[:, :, -1:]], 2)
        feats = torch.cat([feats[..., :1], feats, feats[..., -1:]], 3)
        rows = feats[:, :, :-2] + 2 * feats[:, :, 1:-1] + feats[:, :, 2:]
        cols = feats[..., :-2] + 2 * feats[..., 1:-1] + feats[..., 2:]
        grad_x = (rows[..., 2:] - rows[..., :-2]) / 8
        grad_y = (cols[:, :, 2:] - cols[:, :, :-2]) / 8
        # The epsilon keeps the derivative finite where there is no edge at all.
        return (grad_x.square() + grad_y.square() + 1e-12).sqrt().mean(1, keepdim=True)
