"""Drawing boxes and text on BGR pictures ``(H, W, 3)`` in uint8; nothing here knows OpenMMLab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

WHITE = (255, 255, 255)
INK = (40, 40, 40)
MUTED = (130, 130, 130)

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DASH = 6
_WIDTH = 800


class Boxes(NamedTuple):
    """Boxes of a picture: corners ``(N, 4, 2)`` in pixels, labels ``(N,)``, scores ``(N,)`` if predicted."""

    polygons: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None


def to_polygons(boxes: np.ndarray) -> np.ndarray:
    """Turn boxes of any kind into their corners.

    Args:
        boxes: ``(N, 4)`` as (x1, y1, x2, y2), ``(N, 5)`` as (centre x, centre y, width, height, radians
            clockwise), or ``(N, 8)`` as four corners, in pixels.

    Returns:
        Corners ``(N, 4, 2)`` as (x, y).

    Raises:
        ValueError: The boxes have another width.
    """
    boxes = np.asarray(boxes, np.float64)
    if boxes.ndim == 2 and boxes.shape[1] == 8:
        return boxes.reshape(-1, 4, 2)
    if boxes.ndim == 2 and boxes.shape[1] == 4:
        return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    if boxes.ndim == 2 and boxes.shape[1] == 5:
        cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
        along = np.stack([cos, sin], 1) * boxes[:, 2:3] / 2
        across = np.stack([-sin, cos], 1) * boxes[:, 3:4] / 2
        corners = [-along - across, along - across, along + across, across - along]
        return boxes[:, None, :2] + np.stack(corners, 1)
    raise ValueError(f'wanted boxes (N, 4), (N, 5) or (N, 8), got {boxes.shape}')


def text_scale(picture: np.ndarray) -> float:
    """Return by how much lines and letters grow on a large picture, 1 up to a longer side of 800 pixels."""
    return max(max(picture.shape[:2]) / _WIDTH, 1.0)


def draw_boxes(
    picture: np.ndarray,
    polygons: np.ndarray,
    colours: Sequence[tuple[int, int, int]],
    texts: Sequence[str] = (),
    dashed: bool = False,
    thickness: int = 2,
) -> np.ndarray:
    """Draw boxes and, where there is room, their labels.

    A label goes above its box, or below, or inside; one that would cover another label is left out.

    Args:
        picture: Picture ``(H, W, 3)``.
        polygons: Corners ``(N, 4, 2)`` in its pixels.
        colours: Colour of each box.
        texts: Label of each box; none are drawn if empty.
        dashed: Dash the outline, on a dark line.
        thickness: Width of the outline in pixels, on a picture that is not large (:func:`text_scale`).
    """
    picture = picture.copy()
    scale = text_scale(picture)
    thickness, dash = round(thickness * scale), round(_DASH * scale)
    corners = np.rint(polygons).astype(int)
    for polygon, colour in zip(corners, colours):
        # Dashes on a dark line: to be seen on any ground.
        cv2.polylines(picture, [polygon], True, INK if dashed else colour, thickness)
        for start, stop in zip(polygon, np.roll(polygon, -1, 0)) if dashed else ():
            length = max(float(np.hypot(*(stop - start))), 1e-9)
            for begin in np.arange(0, length, 2 * dash):
                ends = (min(at, length) / length for at in (begin, begin + dash - 1))
                points = [np.rint(start + (stop - start) * at).astype(int).tolist() for at in ends]
                cv2.line(picture, *points, colour, thickness)
    taken = np.zeros(picture.shape[:2], bool)
    for polygon, colour, text in zip(corners, colours, texts):
        _label(picture, polygon, colour, text, taken)
    return picture


def _label(picture: np.ndarray, polygon: np.ndarray, colour: tuple, text: str, taken: np.ndarray) -> None:
    scale = text_scale(picture)
    size, gap, height = 0.42 * scale, round(3 * scale), round(16 * scale)
    width = text_width(text, size) + 2 * gap
    (left, top), (right, bottom) = polygon.min(0), polygon.max(0)
    places = [(left, top - height), (left, bottom + 1), (left, top + 1), (right - width, top - height)]
    for x, y in places:
        x = int(min(max(x, 0), max(picture.shape[1] - width, 0)))
        spot = slice(y, y + height), slice(x, x + width)
        if 0 <= y <= picture.shape[0] - height and not taken[spot].any():
            taken[spot] = True
            picture[spot] = colour
            spot = x + gap, int(y) + height - round(4 * scale)
            write_text(picture, text, spot, (0, 0, 0), size)
            return


def write_text(picture: np.ndarray, text: str, spot: tuple[int, int], colour: tuple, size: float) -> None:
    """Write a line into ``picture``; ``spot`` is its left end on the base line."""
    cv2.putText(picture, text, spot, _FONT, size, colour, _stroke(size), cv2.LINE_AA)


def text_width(text: str, size: float) -> int:
    """Return the width of a line in pixels."""
    return cv2.getTextSize(text, _FONT, size, _stroke(size))[0][0]


def _stroke(size: float) -> int:
    return max(round(1.8 * size), 1)


def fit_text(text: str, width: int, size: float) -> str:
    """Cut a line that is wider than ``width`` pixels, and show that by dots."""
    # The font knows ASCII alone.
    text = text.encode('ascii', 'replace').decode()
    if text_width(text, size) <= width:
        return text
    while text and text_width(f'{text}...', size) > width:
        text = text[:-1]
    return f'{text}...'
