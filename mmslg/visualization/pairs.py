"""The page of a pair: both modalities side by side with their boxes; contact sheets of pages.

Everything works on BGR pictures ``(H, W, 3)`` in uint8 and returns new ones; nothing here knows OpenMMLab.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmslg.errors import InputError
from mmslg.utils.io import atomic_path
from mmslg.visualization.boxes import (
    INK,
    MUTED,
    WHITE,
    Boxes,
    draw_boxes,
    fit_text,
    text_scale,
    text_width,
    write_text,
)
from mmslg.visualization.palette import class_colour

SMALL = 480
"""A picture whose longer side has fewer pixels is doubled, so that labels are readable."""

PAIR_ORIGIN = (10, 50)
"""Where the visible picture lies on a page of :func:`side_by_side`, as (x, y)."""

_GAP = 10


def enlarge(picture: np.ndarray) -> tuple[np.ndarray, int]:
    """Double a small picture; return it and the factor, 1 or 2."""
    if max(picture.shape[:2]) >= SMALL:
        return picture.copy(), 1
    return cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), 2


def draw_pair_boxes(
    visible: np.ndarray,
    infrared: np.ndarray,
    classes: Sequence[str],
    title: str,
    truth: Boxes | None = None,
    found: Boxes | None = None,
    fused: bool = False,
) -> np.ndarray:
    """Draw the page of a pair: both pictures with their boxes, a title above, the classes below.

    Predictions have the colours of their classes; annotated boxes are dashed in white beside them, and have
    the colours of their classes where there are no predictions to be drawn.

    Args:
        visible: Picture ``(H, W, 3)``; small ones are doubled.
        infrared: Picture of the same size.
        classes: Class names.
        title: Line above both.
        truth: Annotated boxes, in pixels of the pictures; None draws none.
        found: Predicted ones.
        fused: Add a third picture, the mean of both.
    """
    (visible, factor), (infrared, _) = enlarge(visible), enlarge(infrared)
    pictures, dashed = [visible, infrared], ''
    if fused:
        pictures.append(cv2.addWeighted(visible, 0.5, infrared, 0.5, 0))
    if truth and found:
        dashed = 'ground truth'
        corners, whites = truth.polygons * factor, [WHITE] * len(truth.labels)
        pictures = [draw_boxes(picture, corners, whites, dashed=True, thickness=1) for picture in pictures]
    shown = found or truth
    if shown:
        order = np.arange(len(shown.labels)) if shown.scores is None else np.argsort(-shown.scores)
        labels = shown.labels[order]  # those of the surest boxes find room first
        texts = [classes[label] for label in labels]
        if shown.scores is not None:
            texts = [f'{text} {score:.2f}' for text, score in zip(texts, shown.scores[order])]
        corners, colours = shown.polygons[order] * factor, [class_colour(label) for label in labels]
        pictures = [draw_boxes(picture, corners, colours, texts) for picture in pictures]
    page = side_by_side(*pictures[:2], title, *pictures[2:])
    return add_legend(page, classes, dashed, text_scale(visible))


def side_by_side(
    visible: np.ndarray, infrared: np.ndarray, title: str = '', fused: np.ndarray | None = None
) -> np.ndarray:
    """Put two pictures of the same size on white paper, with their modality and a title above.

    The visible picture starts at :data:`PAIR_ORIGIN`, lower if it is large and the text above grows with it,
    the infrared one 10 pixels right of it.

    Args:
        visible: Picture ``(H, W, 3)``.
        infrared: Picture of the same size.
        title: Line above both.
        fused: A third picture, right of them.
    """
    height, width = visible.shape[:2]
    scale = text_scale(visible)
    left, top = PAIR_ORIGIN[0], round(PAIR_ORIGIN[1] * scale)
    pictures = {'visible': visible, 'infrared': infrared}
    if fused is not None:
        pictures['both'] = fused
    page = np.full(
        (top + height + _GAP, 2 * left + len(pictures) * (width + _GAP) - _GAP, 3), WHITE, np.uint8
    )
    size = 0.52 * scale
    write_text(page, fit_text(title, page.shape[1] - 2 * left, size), (left, round(20 * scale)), INK, size)
    for number, (name, picture) in enumerate(pictures.items()):
        x = left + number * (width + _GAP)
        page[top : top + height, x : x + width] = picture
        write_text(page, name, (x, round(42 * scale)), MUTED, 0.48 * scale)
    return page


def add_lines(page: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """Add lines of text below a page."""
    foot = np.full((20 * len(lines) + (_GAP if lines else 0), page.shape[1], 3), WHITE, np.uint8)
    for i, line in enumerate(lines):
        write_text(foot, fit_text(line, page.shape[1] - 2 * _GAP, 0.46), (_GAP, 20 * i + 14), INK, 0.46)
    return np.vstack([page, foot])


def add_legend(page: np.ndarray, names: Sequence[str], dashed: str = '', scale: float = 1) -> np.ndarray:
    """Add the colour of each class below a page, and what a dashed white outline means.

    Args:
        page: Picture ``(H, W, 3)``.
        names: Class names.
        dashed: What the outline means; empty where there is none.
        scale: By how much text and swatches are larger, see :func:`mmslg.visualization.boxes.text_scale`.
    """

    def large(*pixels: float) -> list[int]:
        return [round(scale * number) for number in pixels]

    size = 0.46 * scale
    entries = [(16, text_width(name, size) + large(42)[0], name) for name in names]
    if dashed:
        entries.append((34, 0, dashed))
    high, top, bottom, base, beside = large(30, 5, 18, 16, 8)
    foot = np.full((high, page.shape[1], 3), WHITE, np.uint8)
    x = _GAP
    for label, (swatch, width, name) in enumerate(entries):
        if x + width > page.shape[1]:
            page, x = np.vstack([page, foot]), _GAP
            foot = np.full_like(foot, WHITE[0])
        (swatch,) = large(swatch)
        foot[top:bottom, x : x + swatch] = class_colour(label) if label < len(names) else MUTED
        if label == len(names):
            corners = np.array([[[4, 7], [29, 7], [29, 15], [4, 15]]]) * scale
            spot = slice(None), slice(x, x + swatch)
            foot[spot] = draw_boxes(foot[spot], corners, [WHITE], dashed=True, thickness=1)
        write_text(foot, name, (x + swatch + beside, base), INK, size)
        x += width
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
        row = np.full((max(tile.shape[0] for tile in group), cell * columns, 3), WHITE, np.uint8)
        for i, tile in enumerate(group):
            row[: tile.shape[0], i * cell : i * cell + tile.shape[1]] = tile
        rows.append(row)
    return np.vstack(rows)


def write_picture(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Write a PNG or JPEG, whole or not at all.

    Raises:
        InputError: The name ends in neither .png nor .jpg.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in ('.png', '.jpg'):
        raise InputError(f'{path}: wanted the name of a picture, which ends in .png or .jpg')
    _, encoded = cv2.imencode(suffix, picture)
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(encoded.tobytes())
