"""Names of KAIST images, and what they tell."""

from __future__ import annotations

import re

PATTERN = re.compile(r'set(\d\d)[/\\_]V(\d{3})[/\\_](?:(?:visible|lwir)[/\\_])?I(\d{5})(?!\d)')


def image_key(name: str) -> str | None:
    """Return the devkit's name of an image, or None if ``name`` is not a KAIST name.

    Example:
        >>> image_key('images/set06/V000/visible/I00019.jpg'), image_key('set06_V000_I00019.txt')
        ('set06/V000/I00019', 'set06/V000/I00019')
    """
    found = PATTERN.search(name)
    return f'set{found[1]}/V{found[2]}/I{found[3]}' if found else None


def time_of_day(key: str) -> str:
    """Return ``day`` (sets 00-02, 06-08), ``night`` (03-05, 09-11), or ``''`` for any other name."""
    found = PATTERN.search(key)
    if not found or int(found[1]) > 11:
        return ''
    return 'day' if int(found[1]) % 6 < 3 else 'night'
