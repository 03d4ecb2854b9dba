"""A contact sheet: visible above infrared, with the boxes."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from mmslg.errors import InputError
from mmslg.testing.scenes.compose import CATEGORIES
from mmslg.testing.scenes.weather import CONDITIONS
from mmslg.utils.io import atomic_path, read_json

COLOURS = {'person': (60, 60, 255), 'car': (255, 170, 30), 'bicycle': (60, 220, 60)}
COLUMNS = 5
GAP = 6


def write_sheet(out: str | os.PathLike, path: str | os.PathLike, rows: int = 2) -> None:
    """Draw test scenes of every condition with their boxes to ``path``.

    A box is dashed in the modality that does not show the object.

    Args:
        out: Folder of the data set.
        path: Image file, ``.png`` or ``.jpg``.
        rows: Rows of pairs; each has one pair of every condition, as far as there are any.
    """
    path = Path(path)
    check_sheet_path(path)
    out = Path(out)
    data = read_json(out / 'annotations_test.json')
    boxes: dict[int, list[dict]] = {}
    for box in data['annotations']:
        boxes.setdefault(box['image_id'], []).append(box)
    groups = [[i for i in data['images'] if i['condition'] == name] for name in CONDITIONS]
    chosen = [group[row] for row in range(rows) for group in groups if row < len(group)]
    rest = [image for image in data['images'] if image not in chosen]
    chosen += rest[: rows * COLUMNS - len(chosen)]
    pairs = [_pair(out, image, boxes.get(image['id'], [])) for image in chosen]
    while len(pairs) % COLUMNS:
        pairs.append(np.full_like(pairs[0], 255))
    lines = [np.hstack(pairs[start : start + COLUMNS]) for start in range(0, len(pairs), COLUMNS)]
    sheet = np.vstack([*lines, _legend(lines[0].shape[1])])
    with atomic_path(path) as temporary:
        _, encoded = cv2.imencode(path.suffix.lower(), sheet)
        temporary.write_bytes(encoded.tobytes())


def check_sheet_path(path: str | os.PathLike) -> None:
    """Raise InputError unless ``path`` ends in .png or .jpg."""
    if Path(path).suffix.lower() not in ('.png', '.jpg'):
        raise InputError(f'{path}: wanted a sheet that ends in .png or .jpg')


def _pair(out: Path, image: dict, boxes: list[dict]) -> np.ndarray:
    tiles = []
    for kind, name in (('visible', image['file_name']), ('infrared', image['file_name_ir'])):
        source = out / kind / name
        picture = cv2.imread(str(source), cv2.IMREAD_COLOR)
        if picture is None:
            raise InputError(f'{source}: cannot be read as an image')
        for box in boxes:
            colour = COLOURS[CATEGORIES[box['category_id'] - 1]]
            _box(picture, box['bbox'], colour, dashed=box['visible_in'] not in ('both', kind))
        label = image['condition'] if kind == 'visible' else 'infrared'
        _text(picture, label, (5, 14), (255, 255, 255))
        tiles.append(cv2.copyMakeBorder(picture, 0, 2, 0, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255)))
    return cv2.copyMakeBorder(np.vstack(tiles), 0, GAP, 0, 0, cv2.BORDER_CONSTANT, value=(255, 255, 255))


def _box(picture: np.ndarray, bbox: list[int], colour: tuple, dashed: bool) -> None:
    x, y, width, height = bbox
    right, bottom = x + width - 1, y + height - 1
    if not dashed:
        cv2.rectangle(picture, (x, y), (right, bottom), colour, 1)
        return
    for start in range(x, right + 1, 6):
        for row in (y, bottom):
            cv2.line(picture, (start, row), (min(start + 2, right), row), colour, 1)
    for start in range(y, bottom + 1, 6):
        for column in (x, right):
            cv2.line(picture, (column, start), (column, min(start + 2, bottom)), colour, 1)


def _text(picture: np.ndarray, text: str, spot: tuple[int, int], colour: tuple) -> None:
    cv2.putText(picture, text, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, text, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


def _legend(width: int) -> np.ndarray:
    strip = np.full((24, width, 3), 40, np.uint8)
    x = 8
    for name, colour in COLOURS.items():
        _box(strip, [x, 6, 16, 12], colour, dashed=False)
        _text(strip, name, (x + 22, 16), (255, 255, 255))
        x += 110
    _box(strip, [x, 6, 30, 12], (220, 220, 220), dashed=True)
    _text(strip, 'not to be seen in this modality', (x + 38, 16), (255, 255, 255))
    return strip
