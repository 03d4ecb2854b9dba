"""Local structural similarity of feature maps."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def structural_similarity(
    first: Tensor, second: Tensor, window_size: int = 3, data_range: float = 1.0
) -> Tensor:
    """Structural similarity per position, used in Eq. 4-5 of arXiv:2601.02249.

    Means, variances and the covariance are taken over a square window, which is cut at the border. All is
    computed in float32; since rounding can make a variance negative, variances are clamped at 0 and the
    covariance at the geometric mean of the variances.

    Args:
        first: Maps ``(B, C, H, W)``.
        second: Maps that broadcast to ``first``.
        window_size: Side of the window in pixels of the map, odd.
        data_range: Span of the values, the L of the constants ``(0.01 L)^2`` and ``(0.03 L)^2``.

    Returns:
        Similarity ``(B, C, H, W)`` in [-1, 1], 1 where both windows are equal.

    Raises:
        ValueError: ``window_size`` is even.
    """
    if window_size % 2 == 0:
        raise ValueError(f'window_size must be odd, got {window_size}')

    def local_mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, window_size, 1, window_size // 2, count_include_pad=False)

    first, second = first.float(), second.float()
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_1, mean_2 = local_mean(first), local_mean(second)
    var_1 = (local_mean(first.square()) - mean_1.square()).clamp(min=0)
    var_2 = (local_mean(second.square()) - mean_2.square()).clamp(min=0)
    bound = (var_1 * var_2).sqrt().detach()
    cov = (local_mean(first * second) - mean_1 * mean_2).clamp(-bound, bound)
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1.square() + mean_2.square() + c1)
    structure = (2 * cov + c2) / (var_1 + var_2 + c2)
    return (luminance * structure).clamp(-1, 1)
