"""Readers and writer of detections on KAIST: the devkit's text files, and COCO results."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmslg.errors import InputError
from mmslg.evaluation.functional.kaist import GroundTruth, frame_name
from mmslg.evaluation.functional.overlaps import IOU_THRESHOLD, find_overlaps
from mmslg.utils.io import atomic_path, read_json
from mmslg.utils.safe_text import finite

COLUMNS = 'image index,x,y,w,h,score'
MIN_SHIFTED_HITS = 20
"""Fewer boxes on persons of the following image tell nothing about where a file counts from."""


@dataclass(frozen=True)
class Detections:
    """What one method found.

    Attributes:
        source: Where it was read.
        image: (D,) image of each box in the ground truth's order, 0-based.
        boxes: (D, 4) x, y, w, h in pixels.
        scores: (D,) any finite numbers; only their order tells.
        notes: What the user should know.
    """

    source: str
    image: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    notes: tuple[str, ...] = ()


def make_detections(source: str, table: np.ndarray, notes: tuple[str, ...] = ()) -> Detections:
    """Make detections of rows (D, 6): image (0-based), x, y, w, h, score."""
    flat = int((table[:, 3:5] <= 0).any(axis=1).sum())
    if flat:
        notes += (f'{flat} boxes without area count as false positives',)
    if not len(table):
        notes += ('no detections: every person is missed',)
    return Detections(source, table[:, 0].astype(int), table[:, 1:5], table[:, 5], notes)


def read_detections(path: str | os.PathLike, truth: GroundTruth) -> Detections:
    """Read detections.

    Three forms are known: a text file of ``image index,x,y,w,h,score`` (1-based, in the sorted order
    of the test list), a COCO result JSON, and a folder of text files ``setXX_VYYY_IZZZZZ.txt`` with
    lines ``person x1 y1 x2 y2 score``, counted from 0. An empty file is legal: nothing was found.

    Args:
        path: File or folder.
        truth: The ground truth that the images belong to.

    Raises:
        InputError: A line or entry cannot be used; the message names it.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, truth)
    if not path.is_file():
        raise InputError(f'{path}: no such file')
    if path.suffix.lower() == '.json':
        return _read_coco(path, truth)
    table, lines = _read_rows(path)
    _check_index(path, table[:, 0], lines, len(truth.names))
    table[:, 0] -= 1
    _check_shift(path, table, truth)
    return make_detections(str(path), table)


def _read_lines(path: Path) -> tuple[list[list[str]], list[int]]:
    """Return the fields of each line, and the lines' numbers; blank and % lines are left out."""
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError:
        raise InputError(f'{path}: not a text file') from None
    rows, numbers = [], []
    for number, line in enumerate(text.split('\n'), 1):
        line = line.strip()
        if line and not line.startswith('%'):
            rows.append(line.split(',') if ',' in line else line.split())
            numbers.append(number)
    return rows, numbers


def _read_rows(path: Path) -> tuple[np.ndarray, list[int]]:
    """Return (D, 6) numbers of a result file and the lines they stand in."""
    rows, numbers = _read_lines(path)
    try:
        table = np.array(rows, dtype=float).reshape(len(rows), 6)
        if np.isfinite(table).all():
            return table, numbers
    except ValueError:
        pass
    for row, number in zip(rows, numbers):
        if _floats(row, 6) is None:
            text = ','.join(row)[:60]
            raise InputError(f'{path}:{number}: wanted six finite numbers {COLUMNS}, got "{text}"')
    raise InputError(f'{path}: wanted lines of six finite numbers {COLUMNS}')


def _floats(texts: list[str], count: int) -> list[float] | None:
    """Return the finite numbers that ``count`` texts spell, or None if they are anything else."""
    try:
        return finite([float(text) for text in texts], count)
    except ValueError:
        return None


def _check_index(path: Path, index: np.ndarray, lines: list[int], num_images: int) -> None:
    """Refuse indices that are no images of the test list; a 0 tells a file that counts from 0."""
    for bad, what in (
        (index == 0, 'image index 0: this file counts images from 0, wanted from 1; add 1 to each index'),
        (index != np.floor(index), 'wanted a whole number as image index'),
        (index < 0, 'wanted an image index from 1 up'),
        (index > num_images, f'the ground truth has no more than {num_images} images'),
    ):
        if bad.any():
            at = int(np.argmax(bad))
            got = '' if index[at] == 0 else f', got {index[at]:g}'
            raise InputError(f'{path}:{lines[at]}: {what}{got}')


def _check_shift(path: Path, table: np.ndarray, truth: GroundTruth) -> None:
    """Refuse a file that counts from 0 but found nothing in the first image.

    It is told by its boxes: far more of them lie on persons of the image after the one they name.
    """
    inside = table[table[:, 0] < len(truth.names) - 1]
    hits = []
    for shift in (0, 1):
        overlaps = find_overlaps(truth, inside[:, 0].astype(int) + shift, inside[:, 1:5])
        hits.append(int((~truth.ignore[overlaps.truth] & (overlaps.over_union >= IOU_THRESHOLD)).sum()))
    if hits[1] >= MIN_SHIFTED_HITS and hits[1] > 2 * hits[0]:
        raise InputError(
            f'{path}: {hits[1]} boxes lie on persons of the image after the one they name, {hits[0]} on '
            'those of the one they name: this file counts images from 0, wanted from 1; add 1 to each index'
        )


def _read_folder(folder: Path, truth: GroundTruth) -> Detections:
    """Read a text file for each image; (x1, y1) gets the 1 that the devkit adds, and its rounding."""
    position = {name: i for i, name in enumerate(truth.names)}
    files = sorted((frame_name(file.name), file) for file in folder.glob('*.txt') if frame_name(file.name))
    if not files:
        raise InputError(f'{folder}: no files such as set06_V000_I00019.txt there')
    table = []
    for key, file in files:
        if key not in position:
            raise InputError(f'{file}: the ground truth has no image {key}')
        for row, number in zip(*_read_lines(file)):
            values = _floats(row[1:], 5)
            if values is None:
                text = ' '.join(row)[:60]
                raise InputError(f'{file}:{number}: wanted "person x1 y1 x2 y2 score", got "{text}"')
            x1, y1, x2, y2, score = values
            table.append((position[key], x1 + 1, y1 + 1, x2 - x1, y2 - y1, score))
    return make_detections(str(folder), round_rows(np.array(table, dtype=float).reshape(-1, 6)))


def _read_coco(path: Path, truth: GroundTruth) -> Detections:
    """Read COCO results; boxes of other categories are left out and said in the notes."""
    data = read_json(path) if path.stat().st_size else []
    if not isinstance(data, list):
        raise InputError(f'{path}: wanted a list of COCO results, got {type(data).__name__}')
    position: dict[Any, int] = {name: i for i, name in enumerate(truth.names)}
    position |= {identity: i for i, identity in enumerate(truth.image_ids)}
    table, others = [], 0
    for number, entry in enumerate(data):
        where = f'{path}: entry {number}'
        if not isinstance(entry, dict):
            raise InputError(f'{where} is no object')
        if entry.get('category_id', truth.person_category) != truth.person_category:
            others += 1
            continue
        box = entry.get('bbox')
        values = finite([*box, entry.get('score')], 5) if isinstance(box, list) else None
        if values is None:
            raise InputError(f'{where}: wanted bbox [x, y, w, h] and score, got {str(entry)[:80]}')
        identity = entry.get('image_id')
        key = frame_name(identity) or identity if isinstance(identity, str) else identity
        if isinstance(key, bool) or not isinstance(key, (int, float, str)) or key not in position:
            raise InputError(f'{where}: the ground truth has no image {str(identity)[:40]!r}')
        table.append((position[key], *values))
    notes = (f'{others} detections of other categories are left out',) if others else ()
    return make_detections(str(path), np.array(table, dtype=float).reshape(-1, 6), notes)


def round_rows(table: np.ndarray) -> np.ndarray:
    """Round (D, 6) rows to the digits of a result file: boxes to 4, scores to 8."""
    return np.concatenate([table[:, :1], table[:, 1:5].round(4), table[:, 5:].round(8)], axis=1)


def write_detections(path: str | os.PathLike, detections: Detections, images: np.ndarray) -> None:
    """Write the file that the devkit reads, ``image index,x,y,w,h,score``, whole or not at all.

    Args:
        path: The text file.
        detections: What was found; their images in order, in each image by falling score.
        images: (M,) whether each image of the ground truth belongs to this list; the index counts
            those alone, from 1.
    """
    index = np.cumsum(images)
    order = np.lexsort((-detections.scores, detections.image))
    order = order[images[detections.image[order]]]
    rows = zip(index[detections.image[order]], detections.boxes[order], detections.scores[order])
    lines = [f'{i},{x:.4f},{y:.4f},{w:.4f},{h:.4f},{score:.8f}\n' for i, (x, y, w, h), score in rows]
    with atomic_path(path) as temporary:
        temporary.write_text(''.join(lines), encoding='utf-8')
