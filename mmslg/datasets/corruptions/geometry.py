"""What a mount, a lens or a registration does to one image of a pair; what comes from outside is black.

The functions are of the kind that :mod:`mmslg.datasets.corruptions.images` explains. They tell the valid
``overlap``, the part of the image that still shows something.
"""

from __future__ import annotations

import cv2
import numpy as np

from mmslg.datasets.corruptions.images import Changed

DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1))
"""Right, left, down, up."""


def shift(image: np.ndarray, pixels: int, rng: np.random.Generator) -> Changed:
    """Move the image by whole pixels along an axis.

    Args:
        image: Image ``(H, W, C)``.
        pixels: How far.
        rng: Draws one of four directions.
    """
    dx, dy = (pixels * step for step in DIRECTIONS[rng.integers(4)])
    height, width = image.shape[:2]
    moved = np.zeros_like(image)
    if abs(dx) < width and abs(dy) < height:
        moved[_target(dy, height), _target(dx, width)] = image[_target(-dy, height), _target(-dx, width)]
    overlap = max(width - abs(dx), 0) * max(height - abs(dy), 0) / (width * height)
    return moved, {'dx': dx, 'dy': dy, 'overlap': round(overlap, 4)}


def _target(step: int, size: int) -> slice:
    """Return the part of an axis that is covered by an image moved by ``step``."""
    return slice(max(step, 0), size + min(step, 0))


def rotate(image: np.ndarray, degrees: float, rng: np.random.Generator) -> Changed:
    """Turn the image about its centre, to the left or, as drawn, to the right."""
    angle = degrees * _sign(rng)
    changed, overlap = _warp(image, angle, 1.0)
    return changed, {'degrees': angle, 'overlap': overlap}


def scale(image: np.ndarray, factor: float, rng: np.random.Generator) -> Changed:
    """Scale the image about its centre: by the factor or, as drawn, by its inverse."""
    factor = factor ** _sign(rng)
    changed, overlap = _warp(image, 0.0, factor)
    return changed, {'factor': round(factor, 6), 'overlap': overlap}


def _sign(rng: np.random.Generator) -> int:
    return 1 if rng.integers(2) else -1


def _warp(image: np.ndarray, angle: float, factor: float) -> tuple[np.ndarray, float]:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, factor)
    changed = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    covered = cv2.warpAffine(
        np.ones((height, width), np.uint8), matrix, (width, height), flags=cv2.INTER_NEAREST
    )
    return changed.reshape(image.shape), round(float(covered.mean()), 4)
