"""KAIST's names, times of day and ground truth: bbGt text files, the published JSON, and COCO form."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmslg.errors import InputError
from mmslg.utils.io import read_json, read_text
from mmslg.utils.safe_text import MAX_COORDINATE, MAX_LABEL_BYTES, finite, number, shorten

NAME = re.compile(
    r'(?<![A-Za-z\d])(?P<set>set\d\d)[/\\_](?P<video>V\d{3})[/\\_]'
    r'(?:(?P<modality>visible|lwir)[/\\_])?(?P<image>I\d{5})(?!\d)'
)
"""A frame in a path: ``set06/V000/I00019``, ``set06/V000/lwir/I00019.jpg``, ``set06_V000_I00019.txt``."""
NIGHT_SETS = (3, 4, 5, 9, 10, 11)
LAST_SET = 11
PERSON = 'person'
IGNORED = ('people', 'person?', 'cyclist')

_BBGT_HEADER = re.compile(r'%\s*bbGt\s+version\s*=\s*3')
_BBGT_FIELDS = ('x', 'y', 'w', 'h', 'occ', 'bbv x', 'bbv y', 'bbv w', 'bbv h', 'ign', 'ang')


def frame_name(path: str) -> str | None:
    """Return the devkit's name of the frame in a path, or None if there is none.

    Example:
        >>> frame_name('images/set06/V000/visible/I00019.jpg'), frame_name('set06_V000_I00019.txt')
        ('set06/V000/I00019', 'set06/V000/I00019')
    """
    found = NAME.search(path)
    return '{set}/{video}/{image}'.format(**found.groupdict()) if found else None


def frame_time(path: str) -> str:
    """Return ``day`` or ``night`` by the set of the frame in a path, or ``''`` where there is none."""
    found = NAME.search(path)
    number_of_set = int(found['set'][3:]) if found else LAST_SET + 1
    return '' if number_of_set > LAST_SET else 'night' if number_of_set in NIGHT_SETS else 'day'


@dataclass(frozen=True)
class BbgtObject:
    """One line of a file in the form of Piotr Dollár's toolbox, ``bbGt version=3``.

    Args:
        label: ``person``, ``people``, ``person?``, ``cyclist`` or another.
        bbox: x, y, width, height in pixels, as spelled.
        occlusion: 0 none, 1 partial, 2 heavy.
        ignore: The file's own flag, 0 or 1.
        angle: Degrees; 0 in all of KAIST.
    """

    label: str
    bbox: tuple[int | float, int | float, int | float, int | float]
    occlusion: int
    ignore: int
    angle: int | float


def read_bbgt(path: str | os.PathLike) -> tuple[BbgtObject, ...]:
    """Read a bbGt file; a header alone means an image without objects.

    Raises:
        InputError: No header of version 3, a line of another form, or an implausible number.
    """
    lines = read_text(path, MAX_LABEL_BYTES).splitlines()
    header = lines[0].strip() if lines else ''
    if not _BBGT_HEADER.fullmatch(header):
        raise InputError(f"{path}: wanted '% bbGt version=3' in the first line, got {shorten(header)}")
    return tuple(_bbgt_object(path, n, line) for n, line in enumerate(lines[1:], 2) if line.strip())


def _bbgt_object(path: object, line_number: int, line: str) -> BbgtObject:
    label, *fields = line.split()
    if len(fields) != len(_BBGT_FIELDS):
        wanted = f'line {line_number} should be a label and {len(_BBGT_FIELDS)} numbers'
        raise InputError(f'{path}: {wanted}, got {shorten(line.strip())}')
    values = [number(t, path, f'line {line_number}, {name}') for t, name in zip(fields, _BBGT_FIELDS)]
    if values[4] not in (0, 1, 2) or values[9] not in (0, 1):
        wanted = f'line {line_number}: occlusion should be 0, 1 or 2 and ignore 0 or 1'
        raise InputError(f'{path}: {wanted}, got {values[4]} and {values[9]}')
    if len(label) > 60 or not label.isprintable():
        raise InputError(f'{path}: line {line_number} has no plain label, got {shorten(label)}')
    return BbgtObject(label, tuple(values[:4]), int(values[4]), int(values[9]), values[10])


@dataclass(frozen=True)
class GroundTruth:
    """The test list and its boxes, by image in the sorted order of the names.

    Attributes:
        source: Where it was read.
        names: The images, sorted; a result file's index 1 is the first.
        image_ids: Their ids, which JSON results use.
        times: (M,) ``day``, ``night`` or ``''``.
        image: (N,) image of each box, 0-based, rising.
        boxes: (N, 4) x, y, w, h in pixels.
        occlusion: (N,) levels.
        ignore: (N,) true for all that is not an unmarked ``person``.
        first: (N,) true for the annotation with id 0 alone, which one protocol loses.
        person_category: The category id of persons in JSON results.
        notes: What the user should know.
    """

    source: str
    names: tuple[str, ...]
    image_ids: tuple[Any, ...]
    times: np.ndarray
    image: np.ndarray
    boxes: np.ndarray
    occlusion: np.ndarray
    ignore: np.ndarray
    first: np.ndarray
    person_category: int = 1
    notes: tuple[str, ...] = ()


def read_ground_truth(path: str | os.PathLike) -> GroundTruth:
    """Read ground truth from the annotation JSON or from a folder of bbGt text files.

    Raises:
        InputError: It is neither; the message says what is wrong with it.
    """
    if os.path.isdir(path):
        return read_bbgt_folder(path)
    return parse_annotations(read_json(path), str(path))


def read_bbgt_folder(folder: str | os.PathLike) -> GroundTruth:
    """Read a folder of files ``setXX_VYYY_IZZZZZ.txt``, or of a folder ``annotations`` with them.

    Labels other than the four of KAIST are left out, as the devkit does, and said in the notes. The
    devkit's turned boxes (an angle) are no part of KAIST and refused.

    Raises:
        InputError: There is no such file, or one is not of this form.
    """
    files = _bbgt_files(Path(folder)) or _bbgt_files(Path(folder) / 'annotations')
    if not files:
        raise InputError(f'{folder}: no files such as set06_V000_I00019.txt there')
    rows, image = [], []
    dropped: Counter[str] = Counter()
    for index, (_, file) in enumerate(files):
        for thing in read_bbgt(file):
            if thing.angle % 360:
                raise InputError(f'{file}: turned boxes (angle {thing.angle:g}) are no part of KAIST')
            if min(thing.bbox[2:]) <= 0:
                raise InputError(f'{file}: a box {list(thing.bbox)} has no area')
            if thing.label != PERSON and thing.label not in IGNORED:
                dropped[thing.label] += 1
                continue
            rows.append((*thing.bbox, thing.occlusion, bool(thing.ignore) or thing.label != PERSON))
            image.append(index)
    table = np.array(rows, dtype=float).reshape(-1, 6)
    names = tuple(name for name, _ in files)
    return GroundTruth(
        source=str(folder),
        names=names,
        image_ids=tuple(range(len(names))),
        times=np.array([frame_time(name) for name in names], dtype='U5'),
        image=np.array(image, dtype=int),
        boxes=table[:, :4],
        occlusion=table[:, 4].astype(int),
        ignore=table[:, 5] > 0,
        first=np.arange(len(table)) == 0,
        notes=tuple(f'{n} boxes labelled {name!r} are left out' for name, n in sorted(dropped.items())),
    )


def _bbgt_files(folder: Path) -> list[tuple[str, str]]:
    """Return (name, file) of the files of frames in a folder, sorted by name."""
    files = os.listdir(folder) if folder.is_dir() else []
    named = [(frame_name(f), os.path.join(folder, f)) for f in files if f.endswith('.txt')]
    return sorted((name, file) for name, file in named if name)


def parse_annotations(data: Any, source: str) -> GroundTruth:
    """Turn the content of an annotation file, of the published form or in COCO form, into ground truth.

    Images are named by ``im_name`` (published form) or ``file_name``. A box counts as ignored if its
    ``ignore`` or ``iscrowd`` is set or its category is not ``person``. The published file numbers its
    annotations from 0; a file in COCO form that has no id 0 gives the part of annotation 0, which one
    protocol loses, to the first box of its first image, so that both forms yield equal figures.

    Args:
        data: What the JSON holds.
        source: The file's name, for messages.

    Raises:
        InputError: Something is missing or of another kind; the message names the entry.
    """
    if not isinstance(data, dict) or not all(
        isinstance(data.get(k), list) for k in ('images', 'annotations')
    ):
        hint = '; a list of detections is no ground truth' if isinstance(data, list) else ''
        raise InputError(f'{source}: wanted JSON with the lists images and annotations{hint}')
    images = _parse_images(data['images'], source)
    position = {identity: i for i, (_, identity, _) in enumerate(images)}
    categories = _category_ids(data.get('categories'), source)
    rows = [
        _parse_annotation(annotation, position, categories, f'{source}: annotations[{n}]')
        for n, annotation in enumerate(data['annotations'])
    ]
    ids = [a['id'] for a in data['annotations'] if isinstance(a.get('id'), (int, str))]
    _refuse_repeated('annotations have the id', ids, source)
    rows.sort(key=lambda row: row[0])
    table = np.array([row[1:] for row in rows], dtype=float).reshape(-1, 7)
    first = table[:, 6] > 0
    if not first.any() and 'file_name' in data['images'][0]:
        first = np.arange(len(table)) == 0
    return GroundTruth(
        source=source,
        names=tuple(name for name, _, _ in images),
        image_ids=tuple(identity for _, identity, _ in images),
        times=np.array([time for _, _, time in images], dtype='U5'),
        image=np.array([row[0] for row in rows], dtype=int),
        boxes=table[:, :4],
        occlusion=table[:, 4].astype(int),
        ignore=table[:, 5] > 0,
        first=first,
        person_category=categories[0],
    )


def _parse_images(images: list, source: str) -> list[tuple[str, Any, str]]:
    """Return (name, id, time of day) of each image, sorted by name."""
    if not images:
        raise InputError(f'{source}: the file lists no image')
    rows = []
    for n, image in enumerate(images):
        image = image if isinstance(image, dict) else {}
        name, identity = image.get('im_name', image.get('file_name')), image.get('id')
        if not isinstance(name, str) or not isinstance(identity, (int, str)):
            raise InputError(f'{source}: images[{n}] wants an id and a file_name')
        frame = frame_name(name)
        time = frame_time(frame) if frame else image.get('time')
        rows.append((frame or name, identity, time if time in ('day', 'night') else ''))
    unknown = [name for name, _, _ in rows if not frame_name(name)]
    if 0 < len(unknown) < len(rows):
        raise InputError(f'{source}: {shorten(unknown[0])} is no name of a KAIST frame, as others are')
    _refuse_repeated('images have the name', [row[0] for row in rows], source)
    _refuse_repeated('images have the id', [row[1] for row in rows], source)
    return sorted(rows, key=lambda row: row[0])


def _refuse_repeated(what: str, values: list, source: str) -> None:
    value, times = Counter(values).most_common(1)[0] if values else (None, 0)
    if times > 1:
        raise InputError(f'{source}: {"two" if times == 2 else times} {what} {value}')


def _category_ids(categories: Any, source: str) -> tuple[int, ...]:
    """Return the id of the category ``person`` and then the others; 1 in a file without categories."""
    if categories is None:
        return (1,)
    listed = categories if isinstance(categories, list) else []
    known = [c for c in listed if isinstance(c, dict) and isinstance(c.get('id'), int)]
    names = {str(c.get('name'))[:40]: c['id'] for c in known}
    if PERSON not in names:
        raise InputError(f'{source}: no category {PERSON}; it has {", ".join(list(names)[:20]) or "none"}')
    return names.pop(PERSON), *names.values()


def _parse_annotation(annotation: Any, position: dict, categories: tuple[int, ...], where: str) -> tuple:
    """Return image, x, y, w, h, occlusion, ignored or not, id 0 or not."""
    if not isinstance(annotation, dict):
        raise InputError(f'{where} is no object')
    identity, category = annotation.get('image_id'), annotation.get('category_id', categories[0])
    if not isinstance(identity, (int, str)) or identity not in position:
        raise InputError(f'{where} points to image {identity!r}, which the file does not list')
    if category not in categories:
        raise InputError(f'{where} is of category {ascii(category)[:40]}, which the file does not list')
    box = finite(annotation.get('bbox'), 4)
    if box is None or min(box[2:]) <= 0 or max(map(abs, box)) > MAX_COORDINATE:
        got = str(annotation.get('bbox'))[:60]
        raise InputError(f'{where}: wanted bbox [x, y, w, h] with w and h above 0, got {got}')
    height = annotation.get('height', box[3])
    if finite([height], 1) is None:
        raise InputError(f'{where}: wanted a number as height, got {str(height)[:40]}')
    if abs(height - box[3]) > 0.5:
        raise InputError(f'{where}: height {height} contradicts bbox, which is {box[3]:g} pixels high')
    flags = {'iscrowd': 0, **annotation}
    for key, levels in (('occlusion', 3), ('ignore', 2), ('iscrowd', 2)):
        value = flags.get(key)
        if value not in range(levels) or (isinstance(value, bool) and levels == 3):
            wanted, got = ('0 or 1', '0, 1 or 2')[levels - 2], str(value)[:40] if key in flags else 'none'
            raise InputError(f'{where}: wanted {key} {wanted}, which the settings go by, got {got}')
    ignore = flags['ignore'] or flags['iscrowd'] or category != categories[0]
    return position[identity], *box, flags['occlusion'], ignore, annotation.get('id') == 0
