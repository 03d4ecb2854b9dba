"""YOLO label files, upright and oriented, and the files that name their classes."""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mmslg.conversion.layout import Box
from mmslg.conversion.quads import tidy
from mmslg.errors import InputError
from mmslg.utils.io import read_text
from mmslg.utils.safe_text import MAX_LABEL_BYTES, number, shorten

PRECISION = 1e-4
"""How far the edge of a box may lie outside [0, 1] because only so many digits were written."""
ROUNDING = 0.01
"""How far a value may lie outside [0, 1] as an error of rounding; it is set to the limit and counted."""
OUTSIDE = 0.5
"""How far a corner of an oriented box may lie outside [0, 1]: such boxes cross the edge of the image."""
BLANK_BYTES = 64
MAX_BYTES = 200_000
MAX_NAME = 60
MAX_NUMBER = 1_000_000
VALUES = {False: '5 values (class cx cy w h)', True: '9 values (class and four corners)'}
"""What the line of an upright and of an oriented box holds."""


@dataclass(frozen=True)
class YoloBox:
    """One line of a label file.

    Args:
        line: Number of the line, from 1.
        number: Class number, from 0.
        values: ``cx, cy, w, h`` or four corners ``x1, y1, ..., x4, y4``, relative to the image's size.
    """

    line: int
    number: int
    values: tuple[int | float, ...]

    @property
    def oriented(self) -> bool:
        """Whether the line gives four corners."""
        return len(self.values) == 8


def parse_yolo(path: str | os.PathLike) -> tuple[YoloBox, ...]:
    """Read a label file: ``class cx cy w h`` or ``class x1 y1 x2 y2 x3 y3 x4 y4`` a line.

    An empty file is that of an image without objects.

    Raises:
        InputError: A line has another number of values, or one that is no number; the message names it.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size <= BLANK_BYTES and not path.read_bytes().strip():
        return ()
    return tuple(
        _parse_line(path, n, line.split())
        for n, line in enumerate(read_text(path, MAX_LABEL_BYTES).split('\n'), 1)
        if line.strip()
    )


def _parse_line(path: Path, n: int, words: list[str]) -> YoloBox:
    where = f'line {n}'
    if len(words) not in (5, 9):
        hint = ''
        if len(words) == 6:
            hint = '; a sixth value is a score, so these are detections and no labels'
        elif len(words) > 6 and len(words) % 2:
            hint = '; a polygon of a segmentation has to become a box first'
        raise InputError(
            f'{path}: {where} has {len(words)} values, wanted {VALUES[False]} or {VALUES[True]}{hint}'
        )
    label = number(words[0], path, f'{where}: the class')
    if not isinstance(label, int) or label < 0:
        raise InputError(
            f'{path}: {where}: the class should be a whole number from 0, got {shorten(words[0])}'
        )
    return YoloBox(n, label, tuple(number(w, path, f'{where}: a coordinate') for w in words[1:]))


def to_pixels(
    path: str | os.PathLike, item: YoloBox, names: tuple[str, ...], size: tuple[int, int], notes: Counter
) -> Box:
    """Turn a line into a box in pixels.

    Args:
        path: The label file, for messages.
        item: The line.
        names: Class names in the order of the class numbers.
        size: (width, height) of the image in pixels.
        notes: Counts values that were set to the limit.

    Returns:
        A box of 4 numbers (``x1, y1, x2, y2``) or 8 (corners).

    Raises:
        InputError: The class number has no name, or a value lies too far outside [0, 1].
    """
    where = f'{path}: line {item.line}'
    if item.number >= len(names):
        raise InputError(
            f'{where}: class number {item.number}, but there are only {len(names)} names (0 '
            f'{shorten(names[0])} to {len(names) - 1} {shorten(names[-1])}); correct the line or the names'
        )
    slack = OUTSIDE if item.oriented else ROUNDING
    for value in item.values:
        if not -slack <= value <= 1 + slack:
            raise InputError(
                f'{where}: coordinate {value:g}, wanted 0 to 1: YOLO labels are relative to width and height '
                'of the image; correct or remove the line'
            )
    width, height = size
    values = item.values
    if not item.oriented:
        values = tuple(min(max(v, 0), 1) for v in values)
        if values != item.values:
            notes[f'boxes with values up to {ROUNDING:g} outside [0, 1], set to the limit'] += 1
        cx, cy, w, h = values
        values = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
    values = tuple(min(max(v, 0), 1) if -PRECISION <= v <= 1 + PRECISION else v for v in values)
    points = tuple(tidy(v * (height if i % 2 else width)) for i, v in enumerate(values))
    return Box(names[item.number], points)


@dataclass(frozen=True)
class NamesFile:
    """Class names of a ``data.yaml``, or of a text file with one name a line.

    Args:
        path: Below the dataset's folder.
        names: In the order of the class numbers.
        settings: All fields of the YAML.
    """

    path: str
    names: tuple[str, ...]
    settings: dict = field(default_factory=dict)


def find_names(root: Path, files: Iterable[str]) -> list[NamesFile]:
    """Read the YAML files that hold ``names``, and ``classes.txt``, ``names.txt`` and ``*.names``.

    Raises:
        InputError: Such a file cannot be used, or there is none of them and a YAML file cannot be read.
    """
    found, broken = [], None
    for path in files:
        name = posixpath.basename(path).lower()
        if name.endswith(('.yaml', '.yml')):
            try:
                data = _read_yaml(root / path)
            except InputError as error:
                broken = broken or error
                continue
            if isinstance(data, dict) and 'names' in data:
                found.append(NamesFile(path, _yaml_names(root / path, data), data))
        elif is_names_list(path):
            lines = read_text(root / path, MAX_BYTES).splitlines()
            found.append(NamesFile(path, check_names(root / path, [t.strip() for t in lines if t.strip()])))
    if broken and not found:
        raise broken
    return found


def is_names_list(path: str) -> bool:
    """Whether a file is a list of class names by its name."""
    name = posixpath.basename(path).lower()
    return name in ('classes.txt', 'names.txt') or name.endswith('.names')


def names_of(root: Path, path: str, found: list[NamesFile]) -> tuple[str, ...]:
    """Return the names that the class numbers of a label file mean: those of the nearest folder above it.

    Raises:
        InputError: Two names files that are equally near differ.
    """

    def depth(file: NamesFile) -> int:
        folder = posixpath.dirname(file.path)
        return len(folder) if not folder or path.startswith(f'{folder}/') else -1

    nearest = max(map(depth, found))
    candidates = [file for file in found if depth(file) == nearest]
    for file in candidates[1:]:
        if file.names != candidates[0].names:
            raise InputError(
                f'{root}: {candidates[0].path} and {file.path} name other classes; leave one of them, or '
                'give the names by --names'
            )
    return candidates[0].names


def _read_yaml(path: Path) -> object:
    text = read_text(path, MAX_BYTES)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f'{path}: not valid YAML ({" ".join(str(error).split())[:120]})') from None


def _yaml_names(path: Path, data: dict) -> tuple[str, ...]:
    names = data['names']
    if isinstance(names, dict):
        numbered = {_class_number(k): v for k, v in names.items()}
        if len(numbered) != len(names) or set(numbered) != set(range(len(names))):
            raise InputError(f'{path}: names should be numbered from 0 without a gap')
        names = [numbered[i] for i in range(len(numbered))]
    if not isinstance(names, list):
        raise InputError(f'{path}: names should be a list or a mapping from numbers, got {_shown(names)}')
    wanted = data.get('nc')
    if wanted is not None and wanted != len(names):
        raise InputError(f'{path}: nc is {_shown(wanted)}, but names holds {len(names)}; correct one of them')
    return check_names(path, names)


def _class_number(key: object) -> int | None:
    if isinstance(key, str) and len(key) < 7 and key.isascii() and key.isdigit():
        return int(key)
    return key if isinstance(key, int) and not isinstance(key, bool) else None


def _shown(value: object) -> str:
    """Return a value of a YAML file for a message; what its aliases blow up is not spelled out."""
    kind = type(value).__name__
    small = isinstance(value, (str, float)) or (isinstance(value, int) and abs(value) < MAX_NUMBER)
    return shorten(value) if small else dict(int='a huge number', dict='a mapping').get(kind, f'a {kind}')


def plain(name: str) -> str:
    """Return the spelling by which class names are compared: ``Freight_Car`` and ``freight-car`` are one."""
    return ' '.join(re.split(r'[\s_-]+', name.strip().lower())).strip()


def check_names(source: object, names: list) -> tuple[str, ...]:
    """Return class names as texts.

    Raises:
        InputError: One is no name or is there twice; the message names ``source``.
    """
    for name in names:
        is_number = isinstance(name, int) and not isinstance(name, bool) and abs(name) < MAX_NUMBER
        if not isinstance(name, str) and not is_number:
            raise InputError(f'{source}: {_shown(name)} is no class name; put it in quotes')
    texts = tuple(str(n).strip() for n in names)
    bad = next((t for t in texts if not t or len(t) > MAX_NAME or not t.isprintable()), None)
    if bad is not None:
        raise InputError(f'{source}: {shorten(bad)} is no class name')
    spellings: set[str] = set()
    for text in texts:
        if plain(text) in spellings:
            raise InputError(f'{source}: class {shorten(text)} is named twice; correct the names')
        spellings.add(plain(text))
    if not texts:
        raise InputError(f'{source}: there are no class names')
    return texts
