"""Pictures of what the structure encoder sees in a pair: edges, their modality, weights, sampling points.

Everything returns BGR pictures ``(H, W, 3)`` in uint8; nothing here knows OpenMMLab.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mmslg.visualization.boxes import INK, WHITE, text_width, write_text
from mmslg.visualization.palette import PALETTE

VISIBLE_COLOUR, INFRARED_COLOUR = PALETTE[1], PALETTE[5]
LEVEL_COLOURS = PALETTE[4], PALETTE[3], PALETTE[2]
WEIGHT_RANGE = 0.25, 0.75
"""Sigmoids of a similarity lie in [0.27, 0.73]."""

_BAR = 22


@dataclass(frozen=True)
class Level:
    """What HSA made of one level of the structural pyramid; maps ``(h, w)`` in float32.

    Args:
        stride: Pixels of the image to a cell.
        grad_rgb: Gradient of the visible features, in units of the reference's maximum (Eq. 2).
        grad_ir: That of the infrared ones.
        ref: The reference, the stronger of the two (Eq. 3).
        w_rgb: Weight of the visible features (Eq. 4-5).
        w_ir: That of the infrared ones.
        fused: Root mean square of the fused features over the channels (Eq. 6).
    """

    stride: int
    grad_rgb: np.ndarray
    grad_ir: np.ndarray
    ref: np.ndarray
    w_rgb: np.ndarray
    w_ir: np.ndarray
    fused: np.ndarray

    def shares(self, box: Sequence[float] | None = None) -> dict[str, float]:
        """Return which part of the edges is each modality's: of the reference, where it is the stronger.

        Args:
            box: x1, y1, x2, y2 in pixels of the image as the model sees it; None is all of it.

        Returns:
            ``visible`` and ``infrared``, which sum to 1; where both are equally strong each has half.
        """
        height, width = self.ref.shape
        rows, columns = slice(0, height), slice(0, width)
        if box is not None:
            x1, y1, x2, y2 = (side / self.stride for side in box)
            left, top = (
                min(max(math.floor(side), 0), limit - 1) for side, limit in ((x1, width), (y1, height))
            )
            rows, columns = slice(top, max(math.ceil(y2), top + 1)), slice(left, max(math.ceil(x2), left + 1))
        ref, rgb, ir = (
            array[rows, columns].astype(float) for array in (self.ref, self.grad_rgb, self.grad_ir)
        )
        part = (rgb > ir) + 0.5 * (rgb == ir)
        visible = float((ref * part).sum() / max(ref.sum(), 1e-12)) if ref.any() else 0.5
        return dict(visible=visible, infrared=1 - visible)


def spread(values: np.ndarray, stride: int, size: tuple[int, int]) -> np.ndarray:
    """Bring a map to the pixels of the image: each cell covers its stride, what was padded is cut.

    Args:
        values: Map ``(h, w)`` or ``(h, w, 3)``.
        stride: Pixels of the image to a cell.
        size: (width, height) of the image.
    """
    height, width = values.shape[:2]
    full = cv2.resize(values, (width * stride, height * stride), interpolation=cv2.INTER_NEAREST)
    return full[: size[1], : size[0]]


def draw_heat(
    values: np.ndarray, limits: tuple[float, float], colours: int = cv2.COLORMAP_INFERNO
) -> np.ndarray:
    """Colour a map: ``limits`` are the values of the first and the last colour."""
    low, high = limits
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    return cv2.applyColorMap(np.rint(255 * scaled).astype(np.uint8), colours)


def draw_supply(level: Level, ground: np.ndarray) -> np.ndarray:
    """Paint the edges of a level in the colour of the modality that supplied them, over a dimmed picture.

    The stronger the edge, the stronger the colour; the bar below shows the shares.

    Args:
        level: The level.
        ground: Picture ``(H, W, 3)`` of the pair as the model sees it.
    """
    size = ground.shape[1::-1]
    grey = cv2.cvtColor(ground, cv2.COLOR_BGR2GRAY)[..., None] * 0.45
    first = spread(level.grad_rgb, level.stride, size) >= spread(level.grad_ir, level.stride, size)
    colour = np.where(first[..., None], VISIBLE_COLOUR, INFRARED_COLOUR)
    strong = max(float(np.percentile(level.ref, 98)), 1e-6)
    alpha = np.clip(spread(level.ref, level.stride, size) / strong, 0, 1)[..., None] * 0.85
    picture = np.rint(grey * (1 - alpha) + colour * alpha).astype(np.uint8)
    return np.vstack([picture, share_bar(level.shares()['visible'], size[0])])


def share_bar(visible: float, width: int) -> np.ndarray:
    """Draw the shares of both modalities as a bar, visible on the left."""
    bar = np.full((_BAR, width, 3), INFRARED_COLOUR, np.uint8)
    bar[:, : round(width * visible)] = VISIBLE_COLOUR
    bar[:2] = WHITE
    text = f'infrared {100 * (1 - visible):.0f} %'
    write_text(bar, f'visible {100 * visible:.0f} %', (5, 16), INK, 0.42)
    write_text(bar, text, (width - text_width(text, 0.42) - 5, 16), INK, 0.42)
    return bar


def draw_points(
    ground: np.ndarray, tokens: np.ndarray, points: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Draw where tokens look: a square for each token, a dot for each point, its area as its weight.

    Args:
        ground: Picture ``(H, W, 3)``; it is dimmed.
        tokens: Centres ``(T, 2)`` in its pixels.
        points: Sampling points ``(T, M, L, K, 2)`` in its pixels, M heads, L levels, K points.
        weights: Their weights ``(T, M, L, K)``.
    """
    factor = 2 if max(ground.shape[:2]) < 900 else 1
    picture = cv2.resize((ground * 0.55).astype(np.uint8), None, fx=factor, fy=factor)
    for token, looked, weight in zip(tokens * factor, points * factor, weights):
        x, y = np.rint(token).astype(int).tolist()
        cv2.rectangle(picture, (x - 8 * factor, y - 8 * factor), (x + 8 * factor, y + 8 * factor), WHITE, 1)
        largest = max(float(weight.max()), 1e-12)
        for head, level, k in np.ndindex(weight.shape):
            spot = np.clip(np.rint(looked[head, level, k]), -9999, 9999).astype(int).tolist()
            radius = max(round(4 * factor * math.sqrt(float(weight[head, level, k]) / largest)), 1)
            cv2.circle(picture, spot, radius, LEVEL_COLOURS[level % 3], -1, cv2.LINE_AA)
    return picture
