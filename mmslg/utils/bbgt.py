"""Files of Piotr Dollár's toolbox, ``bbGt version=3``, in which KAIST is annotated."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from mmslg.errors import InputError
from mmslg.utils.safe_text import number, read_text, shorten

_FIELDS = ('x', 'y', 'w', 'h', 'occ', 'bbv x', 'bbv y', 'bbv w', 'bbv h', 'ign', 'ang')


@dataclass(frozen=True)
class BbgtObject:
    """One line of a file.

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
    lines = read_text(path).splitlines()
    header = lines[0].strip() if lines else ''
    if not re.fullmatch(r'%\s*bbGt\s+version\s*=\s*3', header):
        raise InputError(f"{path}: wanted '% bbGt version=3' in the first line, got {shorten(header)}")
    return tuple(_object(path, n, line) for n, line in enumerate(lines[1:], 2) if line.strip())


def _object(path: object, line_number: int, line: str) -> BbgtObject:
    label, *fields = line.split()
    if len(fields) != len(_FIELDS):
        raise InputError(
            f'{path}: line {line_number} should be a label and {len(_FIELDS)} numbers, got '
            f'{shorten(line.strip())}'
        )
    values = [number(t, path, f'line {line_number}, {name}') for t, name in zip(fields, _FIELDS)]
    if values[4] not in (0, 1, 2) or values[9] not in (0, 1):
        raise InputError(
            f'{path}: line {line_number}: occlusion should be 0, 1 or 2 and ignore 0 or 1, got {values[4]} '
            f'and {values[9]}'
        )
    if len(label) > 60 or not label.isprintable():
        raise InputError(f'{path}: line {line_number} has no plain label, got {shorten(label)}')
    return BbgtObject(label, tuple(values[:4]), int(values[4]), int(values[9]), values[10])
