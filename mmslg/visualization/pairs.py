"""Drawing pairs: boxes with labels, both modalities side by side, contact sheets.

Everything works on BGR pictures ``(H, W, 3)`` in uint8 and returns new ones.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmslg.utils.io import atomic_path

# The palette of Okabe and Ito, told apart with every kind of colour vision; as (B, G, R).
PALETTE = (
    (0, 159, 230),
    (233, 180, 86),
    (115, 158, 0),
    (167, 121, 204),
    (66, 228, 240),
    (0, 94, 213),
    (178, 114, 0),
)
PAPER = (255, 255, 255)
INK = (40, 40, 40)
MUTED = (130, 130, 130)
SMALL = 480
"""A picture whose longer side has fewer pixels is doubled, so that labels are readable."""

PAIR_ORIGIN = (10, 50)
"""Where the visible picture lies on a page of :func:`side_by_side`, as (x, y)."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GAP = 10
_DASH = 6


def class_colour(label: int) -> tuple[int, int, int]:
    """Return the colour (B, G, R) of a class; the palette repeats after seven."""
    return PALETTE[label % len(PALETTE)]


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


def enlarge(picture: np.ndarray) -> tuple[np.ndarray, int]:
    """Double a small picture; return it and the factor, 1 or 2."""
    if max(picture.shape[:2]) >= SMALL:
        return picture.copy(), 1
    return cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), 2


def draw_boxes(
    picture: np.ndarray,
    polygons: np.ndarray,
    colours: Sequence[tuple[int, int, int]],
    texts: Sequence[str] | None = None,
    dashed: bool = False,
    thickness: int = 2,
) -> np.ndarray:
    """Draw boxes and, where there is room, their labels.

    A label goes above its box, or below, or inside; one that would cover another label is left out.

    Args:
        picture: Picture ``(H, W, 3)``.
        polygons: Corners ``(N, 4, 2)`` in its pixels.
        colours: Colour of each box.
        texts: Label of each box; None draws none.
        dashed: Dash the outline, on a dark line.
        thickness: Width of the outline in pixels.
    """
    picture = picture.copy()
    corners = np.rint(polygons).astype(int)
    for polygon, colour in zip(corners, colours):
        if dashed:
            _dashed_outline(picture, polygon, colour, thickness)
        else:
            cv2.polylines(picture, [polygon], True, colour, thickness)
    taken: list[tuple[int, int, int, int]] = []
    for polygon, colour, text in zip(corners, colours, texts or ()):
        _label(picture, polygon, colour, text, taken)
    return picture


def _dashed_outline(picture: np.ndarray, polygon: np.ndarray, colour: tuple, thickness: int) -> None:
    # Dashes on a dark line: to be seen on any ground.
    cv2.polylines(picture, [polygon], True, INK, thickness)
    for start, stop in zip(polygon, np.roll(polygon, -1, 0)):
        length = float(np.hypot(*(stop - start)))
        direction = (stop - start) / max(length, 1e-9)
        for begin in np.arange(0, length, 2 * _DASH):
            ends = [start + direction * at for at in (begin, min(begin + _DASH - 1, length))]
            cv2.line(picture, *(tuple(int(v) for v in np.rint(end)) for end in ends), colour, thickness)


def _label(picture: np.ndarray, polygon: np.ndarray, colour: tuple, text: str, taken: list[tuple]) -> None:
    height, width = picture.shape[:2]
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, 0.42, 1)
    box_width, box_height = text_width + 6, text_height + 7
    (left, top), (right, bottom) = polygon.min(0), polygon.max(0)
    places = [
        (left, top - box_height),
        (left, bottom + 1),
        (left, top + 1),
        (right - box_width, top - box_height),
    ]
    for x, y in places:
        x = int(min(max(x, 0), max(width - box_width, 0)))
        if y < 0 or y + box_height > height:
            continue
        spot = (x, int(y), x + box_width, int(y) + box_height)
        if any(_overlap(spot, other) for other in taken):
            continue
        taken.append(spot)
        cv2.rectangle(picture, spot[:2], (spot[2] - 1, spot[3] - 1), colour, -1)
        cv2.putText(picture, text, (x + 3, spot[3] - 4), _FONT, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        return


def _overlap(first: tuple, second: tuple) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def side_by_side(visible: np.ndarray, infrared: np.ndarray, title: str = '') -> np.ndarray:
    """Put two pictures of the same size on white paper, with their modality and a title above.

    The visible picture starts at :data:`PAIR_ORIGIN`, the infrared one 10 pixels right of it.

    Args:
        visible: Picture ``(H, W, 3)``.
        infrared: Picture of the same size.
        title: Line above both.
    """
    height, width = visible.shape[:2]
    left, top = PAIR_ORIGIN
    page = np.full((top + height + _GAP, 2 * left + 2 * width + _GAP, 3), PAPER, np.uint8)
    page[top : top + height, left : left + width] = visible
    second = left + width + _GAP
    page[top : top + height, second : second + width] = infrared
    write_text(page, shorten(title, page.shape[1] - 2 * left, 0.52), (left, 20), INK, 0.52)
    write_text(page, 'visible', (left, 42), MUTED, 0.48)
    write_text(page, 'infrared', (second, 42), MUTED, 0.48)
    return page


def add_lines(page: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """Add lines of text below a page."""
    foot = np.full((20 * len(lines) + (_GAP if lines else 0), page.shape[1], 3), PAPER, np.uint8)
    for i, line in enumerate(lines):
        write_text(foot, shorten(line, page.shape[1] - 2 * _GAP, 0.46), (_GAP, 20 * i + 14), INK, 0.46)
    return np.vstack([page, foot])


def add_legend(page: np.ndarray, names: Sequence[str], dashed_white: str = '') -> np.ndarray:
    """Add the colour of each class below a page, and what a dashed white outline means."""
    foot = np.full((30, page.shape[1], 3), PAPER, np.uint8)
    x = _GAP
    for label, name in enumerate(names):
        width = 24 + _text_width(name, 0.46) + 18
        if x + width > page.shape[1]:
            page, x = np.vstack([page, foot]), _GAP
            foot = np.full_like(foot, PAPER[0])
        cv2.rectangle(foot, (x, 5), (x + 16, 17), class_colour(label), -1)
        write_text(foot, name, (x + 24, 16), INK, 0.46)
        x += width
    if dashed_white:
        cv2.rectangle(foot, (x, 3), (x + 34, 19), MUTED, -1)
        corners = np.array([[x + 4, 6], [x + 30, 6], [x + 30, 16], [x + 4, 16]])
        _dashed_outline(foot, corners, PAPER, 1)
        write_text(foot, dashed_white, (x + 42, 16), INK, 0.46)
    return np.vstack([page, foot])


def contact_sheet(pages: Sequence[np.ndarray], columns: int = 2, width: int = 960) -> np.ndarray:
    """Lay pages out in a grid.

    Args:
        pages: At least one picture; sizes may differ.
        columns: Pages in a row, at most.
        width: Pixels of a page on the sheet; larger ones are scaled down, none is scaled up.
    """
    columns = min(columns, len(pages))
    tiles = []
    for page in pages:
        scale = min(1.0, width / page.shape[1])
        size = (max(round(page.shape[1] * scale), 1), max(round(page.shape[0] * scale), 1))
        tiles.append(page if scale == 1 else cv2.resize(page, size, interpolation=cv2.INTER_AREA))
    cell = max(tile.shape[1] for tile in tiles)
    rows = []
    for start in range(0, len(tiles), columns):
        group = tiles[start : start + columns]
        row = np.full((max(tile.shape[0] for tile in group), cell * columns, 3), PAPER, np.uint8)
        for i, tile in enumerate(group):
            row[: tile.shape[0], i * cell : i * cell + tile.shape[1]] = tile
        rows.append(row)
    return np.vstack(rows)


def write_text(picture: np.ndarray, text: str, spot: tuple[int, int], colour: tuple, size: float) -> None:
    """Write a line into ``picture``; ``spot`` is its left end on the base line."""
    cv2.putText(picture, text, spot, _FONT, size, colour, 1, cv2.LINE_AA)


def shorten(text: str, width: int, size: float) -> str:
    """Cut a line that is wider than ``width`` pixels, and show that by dots."""
    # The font knows ASCII alone.
    text = text.encode('ascii', 'replace').decode()
    if _text_width(text, size) <= width:
        return text
    while text and _text_width(f'{text}...', size) > width:
        text = text[:-1]
    return f'{text}...'


def _text_width(text: str, size: float) -> int:
    return cv2.getTextSize(text, _FONT, size, 1)[0][0]


def write_picture(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Write a PNG, whole or not at all."""
    _, encoded = cv2.imencode('.png', picture)
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(encoded.tobytes())
