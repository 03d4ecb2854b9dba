"""Oriented boxes as four corners, and what remains of them inside a frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np

MIN_VISIBLE = 1.0
"""Smallest width, height (pixels) or area (pixels squared) of a box that counts as one."""


def corners(box: Sequence[float]) -> tuple[float, ...]:
    """Return the corners ``x1, y1, ..., x4, y4`` of an upright box ``x1, y1, x2, y2``."""
    x1, y1, x2, y2 = box
    return x1, y1, x2, y1, x2, y2, x1, y2


def area(quad: np.ndarray) -> float:
    """Return the area of a polygon ``(N, 2)``."""
    x, y = quad[:, 0], quad[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def enclosing(quad: np.ndarray) -> tuple[float, float, float, float]:
    """Return ``(x, y, w, h)`` of the upright box around a polygon ``(N, 2)``."""
    low, high = quad.min(0), quad.max(0)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def crosses(quad: np.ndarray, size: Sequence[int]) -> bool:
    """Whether a polygon leaves the frame ``(width, height)``."""
    return bool((quad < 0).any() or (quad > np.asarray(size)).any())


def is_degenerate(quad: np.ndarray) -> bool:
    """Whether a polygon has no area to speak of."""
    _, _, w, h = enclosing(quad)
    return min(w, h) < MIN_VISIBLE or area(quad) < MIN_VISIBLE


def clip(quad: np.ndarray, size: Sequence[int]) -> np.ndarray | None:
    """Return the four corners of what a quadrangle covers inside the frame.

    The exact intersection of a slanted box with a frame may have more than four corners; those that
    contribute least area are given up, so the result lies inside the frame and inside the box.

    Args:
        quad: Corners ``(4, 2)`` in pixels; the convex hull counts.
        size: (width, height) of the frame in pixels.

    Returns:
        Corners ``(4, 2)``, or None if less than a pixel is left.
    """
    width, height = size
    frame = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    hull = cv2.convexHull(np.asarray(quad, np.float32))[:, 0]
    if len(hull) < 3:
        return None
    covered, polygon = cv2.intersectConvexConvex(hull, frame)
    if covered < MIN_VISIBLE or polygon is None:
        return None
    points = cv2.convexHull(polygon.astype(np.float32))[:, 0].astype(float)
    points = np.clip(points, 0, (width, height))
    while len(points) > 4:
        before, after = np.roll(points, 1, 0), np.roll(points, -1, 0)
        losses = [area(np.stack(p)) for p in zip(before, points, after)]
        points = np.delete(points, int(np.argmin(losses)), 0)
    if len(points) < 3:
        return None
    if len(points) == 3:
        longest = int(np.argmax(np.linalg.norm(np.roll(points, -1, 0) - points, axis=1)))
        middle = (points[longest] + points[(longest + 1) % 3]) / 2
        points = np.insert(points, longest + 1, middle, 0)
    points = np.round(points, 3)
    return None if is_degenerate(points) else points


def annotation(
    quad: np.ndarray, size: Sequence[int], edge: str, stats: Counter, frame: str = 'content'
) -> dict | None:
    """Turn an oriented box into the fields of a COCO annotation.

    Args:
        quad: Corners ``(4, 2)`` in pixels.
        size: (width, height) of the frame in pixels.
        edge: What happens to a box across the edge: ``clip``, ``keep`` or ``drop``.
        stats: Counts what was done, by remark.
        frame: What the remarks call the frame.

    Returns:
        ``bbox`` (enclosing), ``area`` and ``segmentation`` (corners); None if the box is dropped.
    """
    quad = np.asarray(quad, float)
    if is_degenerate(quad):
        stats['dropped: no area'] += 1
        return None
    if crosses(quad, size):
        inside = clip(quad, size)
        if inside is None:
            stats[f'dropped: outside the {frame}'] += 1
            return None
        done = dict(clip='clipped', keep='kept as they are', drop='dropped')[edge]
        stats[f'{done}: across the edge of the {frame}'] += 1
        if edge == 'drop':
            return None
        quad = inside if edge == 'clip' else quad
    bbox = [tidy(v) for v in enclosing(quad)]
    return dict(bbox=bbox, area=tidy(area(quad)), segmentation=[[tidy(v) for v in quad.ravel()]])


def tidy(value: float) -> int | float:
    """Return a number of pixels, rounded to thousandths, as int where it is whole."""
    value = round(float(value), 3)
    return int(value) if value == int(value) else value
