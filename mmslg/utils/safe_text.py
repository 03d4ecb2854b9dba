"""Values out of files that nobody vouches for: numbers, names, texts; every failure is one line."""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath

from mmslg.errors import InputError

MAX_LABEL_BYTES = 4_000_000
"""Largest annotation file of one image; the published ones stay below 100 kB."""
MAX_COORDINATE = 100_000
"""Largest coordinate in pixels that is still believed."""

_NUMBER = re.compile(r'[+-]?(?:\d{1,12}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,2})?')


def shorten(text: object, length: int = 40) -> str:
    """Return a printable form of any value, of bounded length, for messages; texts stand in quotes."""
    try:
        shown = ascii(text)
    except RecursionError:
        shown = f'a nested {type(text).__name__}'
    return shown if len(shown) <= length else shown[: length - 3] + '...'


def number(text: str | None, path: object, what: str, largest: float = MAX_COORDINATE) -> int | float:
    """Return the number that ``text`` spells, as int where it is whole.

    Raises:
        InputError: Missing, no plain decimal number, not finite, or beyond ``largest``.
    """
    stripped = (text or '').strip()
    if not _NUMBER.fullmatch(stripped):
        raise InputError(f'{path}: {what} should be a number, got {shorten(stripped)}')
    return check_number(float(stripped), path, what, largest)


def check_number(value: object, path: object, what: str, largest: float = MAX_COORDINATE) -> int | float:
    """Return ``value`` as int where it is whole, else as float.

    Raises:
        InputError: ``value`` is no number, not finite, or beyond ``largest``.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f'{path}: {what} should be a number, got {shorten(value)}')
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f'{path}: {what} is {value}, wanted a finite number')
    if abs(value) > largest:
        shown = f'{value:g}' if isinstance(value, float) else 'a huge number'
        raise InputError(f'{path}: {what} is {shown}, wanted at most {largest:g} in magnitude')
    return int(value) if value == int(value) else value


def finite(values: object, count: int) -> list[float] | None:
    """Return ``count`` finite numbers, or None if ``values`` is anything else than a list of such."""
    if not isinstance(values, (list, tuple)) or len(values) != count:
        return None
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        return None
    try:
        numbers = [float(v) for v in values]
    except OverflowError:  # a whole number of more than 308 digits
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def safe_name(name: object, path: object, what: str) -> str:
    """Return a file name with ``/`` between folders that stays below its folder.

    Raises:
        InputError: ``name`` is no text, empty, absolute, climbs with ``..`` or holds control characters.
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(f'{path}: {what} should be a file name, got {shorten(name)}')
    posix = name.replace('\\', '/')
    parts = PurePosixPath(posix).parts
    bad = posix.startswith('/') or re.match(r'[A-Za-z]:', posix) or '..' in parts or not name.isprintable()
    if bad or len(name) > 400:
        raise InputError(f'{path}: {what} {shorten(name)} leads out of its folder or is no plain file name')
    return str(PurePosixPath(posix))
