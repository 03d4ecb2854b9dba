"""Ground truth from a folder of KAIST's ``bbGt version=3`` text files."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np

from mmslg.errors import InputError
from mmslg.evaluation.functional.kaist_ground_truth import PERSON, GroundTruth
from mmslg.evaluation.functional.kaist_names import image_key, time_of_day
from mmslg.utils.bbgt import read_bbgt

IGNORED_LABELS = ('people', 'person?', 'cyclist')


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
            rows.append((*thing.bbox, thing.occlusion, bool(thing.ignore) or thing.label != PERSON))
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
