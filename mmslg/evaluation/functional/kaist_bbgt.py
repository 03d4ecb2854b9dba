"""Reader of ``bbGt version=3`` text files, in which KAIST is annotated."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmslg.errors import InputError
from mmslg.evaluation.functional.kaist_ground_truth import PERSON, GroundTruth, finite
from mmslg.evaluation.functional.kaist_names import image_key, time_of_day

IGNORED_LABELS = ('people', 'person?', 'cyclist')
BBGT_HEADER = '% bbGt version=3'
BBGT_FIELDS = 12
"""label, x, y, w, h, occlusion, four of the visible part, ignore, angle."""


class BbGtObject(NamedTuple):
    """One line of a ``bbGt version=3`` file.

    Attributes:
        label: ``person``, ``people``, ``person?``, ``cyclist`` or another.
        box: x, y, w, h in pixels.
        occlusion: 0 none, 1 partial, 2 heavy.
        visible: x, y, w, h of the visible part; zeros if not given.
        ignore: The file's own ignore flag.
        angle: Degrees; 0 in all of KAIST.
    """

    label: str
    box: tuple[float, float, float, float]
    occlusion: int
    visible: tuple[float, float, float, float]
    ignore: bool
    angle: float


def read_bbgt(path: str | os.PathLike) -> list[BbGtObject]:
    """Read a ``bbGt version=3`` file.

    Raises:
        InputError: The file is missing or not of this form; the message names file and line.
    """
    try:
        with open(path, encoding='utf-8') as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except UnicodeDecodeError:
        raise InputError(f'{path}: not text; wanted "{BBGT_HEADER}"') from None
    if not lines or lines[0].split() != BBGT_HEADER.split():
        got = f'got "{lines[0][:40]}"' if lines else 'the file is empty'
        raise InputError(f'{path}:1: wanted "{BBGT_HEADER}", {got}')
    objects = []
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        if not words:
            continue
        values = finite(words[1:], BBGT_FIELDS - 1)
        if values is None:
            raise InputError(
                f'{path}:{number}: wanted a label and {BBGT_FIELDS - 1} numbers, got "{line[:60]}"'
            )
        if values[4] not in (0, 1, 2):
            raise InputError(f'{path}:{number}: wanted occlusion 0, 1 or 2, got {words[5][:20]}')
        x, y, w, h, occlusion, *visible, ignore, angle = values
        objects.append(
            BbGtObject(words[0], (x, y, w, h), int(occlusion), tuple(visible), bool(ignore), angle)
        )
    return objects


def read_bbgt_folder(folder: str | os.PathLike) -> GroundTruth:
    """Read a folder of files ``setXX_VYYY_IZZZZZ.txt``, or of a folder ``annotations`` with them.

    Labels other than the four of KAIST are left out, as the devkit does, and said in the notes. The
    devkit's turned boxes (an angle) are no part of KAIST and refused.

    Raises:
        InputError: There is no such file, or one is not of this form.
    """
    path = Path(folder)
    files = _bbgt_files(path) or (_bbgt_files(path / 'annotations'))
    if not files:
        raise InputError(f'{folder}: no files such as set06_V000_I00019.txt there')
    rows, image = [], []
    dropped: Counter[str] = Counter()
    for index, (_, file) in enumerate(files):
        for thing in read_bbgt(file):
            if thing.angle % 360:
                raise InputError(f'{file}: turned boxes (angle {thing.angle:g}) are no part of KAIST')
            if thing.label != PERSON and thing.label not in IGNORED_LABELS:
                dropped[thing.label] += 1
                continue
            rows.append((*thing.box, thing.occlusion, thing.ignore or thing.label != PERSON))
            image.append(index)
    table = np.array(rows, dtype=float).reshape(-1, 6)
    names = tuple(key for key, _ in files)
    notes = tuple(f'{n} boxes labelled {label!r} are left out' for label, n in sorted(dropped.items()))
    return GroundTruth(
        source=str(folder),
        names=names,
        image_ids=tuple(range(len(names))),
        times=np.array([time_of_day(name) for name in names], dtype='U5'),
        image=np.array(image, dtype=int),
        boxes=table[:, :4],
        heights=table[:, 3],
        occlusion=table[:, 4].astype(int),
        ignore=table[:, 5] > 0,
        first=np.arange(len(table)) == 0,
        notes=notes,
    )


def _bbgt_files(folder: Path) -> list[tuple[str, str]]:
    """Return (name, file) of the files of KAIST images in a folder, sorted by name."""
    if not folder.is_dir():
        return []
    files = [name for name in os.listdir(folder) if name.endswith('.txt')]
    keyed = [(image_key(name), os.path.join(folder, name)) for name in files]
    return sorted((key, file) for key, file in keyed if key)
