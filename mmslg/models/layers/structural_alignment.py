"""Hierarchical Structural Alignment (HSA): the weights of the two modalities at one level."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmslg.models.layers.sobel import SobelGradient
from mmslg.models.layers.ssim import structural_similarity


class HierarchicalStructuralAlignment(nn.Module):
    """Fuse visible and infrared features by whose edges agree with the stronger ones.

    Implements Eq. 2-6 of arXiv:2601.02249 for one level of the pyramid::

        ref   = max(Sobel(rgb), Sobel(ir))                              (Eq. 3)
        w_rgb = sigmoid(SSIM(Sobel(rgb), ref)),  w_ir likewise          (Eq. 4-5)
        fused = w_rgb * rgb + w_ir * ir                                 (Eq. 6)

    Gradients are divided by the image's largest reference gradient, so that they span [0, 1], the data
    range of the similarity. It has no parameters; a weight lies in [0.27, 0.73], sigmoid of [-1, 1].

    Args:
        compare: ``'gradient'`` compares each modality's gradient with the reference, as the paper's
            prose does; ``'feature'`` compares the features themselves, as its diagram does.
        normalize_weights: Divide by ``w_rgb + w_ir``, as the published listing does; Eq. 6 does not.
        reduce_first: See :class:`SobelGradient`.
        window_size: Window of the similarity, in pixels of the level.

    Raises:
        ValueError: ``compare`` is neither of the two words.
    """

    def __init__(
        self,
        compare: str = 'gradient',
        normalize_weights: bool = False,
        reduce_first: bool = False,
        window_size: int = 3,
    ) -> None:
        super().__init__()
        if compare not in ('gradient', 'feature'):
            raise ValueError(f"compare must be 'gradient' or 'feature', got {compare!r}")
        self.compare = compare
        self.normalize_weights = normalize_weights
        self.window_size = window_size
        self.sobel = SobelGradient(reduce_first)

    def gradients(self, rgb: Tensor, ir: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of both modalities and the reference (Eq. 2-3).

        Returns:
            Maps ``(B, 1, H, W)`` in float32, in units of the image's largest reference gradient: [0, 1].
        """
        grad_rgb, grad_ir = self.sobel(torch.cat([rgb, ir])).tensor_split(2)
        ref = torch.maximum(grad_rgb, grad_ir)
        scale = ref.detach().amax((2, 3), keepdim=True).clamp(min=1e-6)
        return grad_rgb / scale, grad_ir / scale, ref / scale

    def weights(self, rgb: Tensor, ir: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights of both modalities, each ``(B, 1, H, W)`` in float32 (Eq. 3-5)."""
        with torch.autocast(rgb.device.type, enabled=False):
            first, second, ref = self.gradients(rgb, ir)
            if self.compare == 'feature':
                first, second = rgb.float(), ir.float()
                ref = ref.expand_as(first)
            both = torch.cat([first, second])
            similarity = structural_similarity(both, torch.cat([ref, ref]), self.window_size)
            w_rgb, w_ir = similarity.mean(1, keepdim=True).sigmoid().tensor_split(2)
            if self.normalize_weights:
                total = w_rgb + w_ir
                w_rgb, w_ir = w_rgb / total, w_ir / total
        return w_rgb, w_ir

    def forward(self, rgb: Tensor, ir: Tensor) -> Tensor:
        """Fuse the features of one level (Eq. 6).

        Args:
            rgb: Visible features ``(B, C, H, W)``.
            ir: Infrared features of the same shape.

        Returns:
            Fused features ``(B, C, H, W)``.
        """
        w_rgb, w_ir = self.weights(rgb, ir)
        return w_rgb.to(rgb.dtype) * rgb + w_ir.to(ir.dtype) * ir
