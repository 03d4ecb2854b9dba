"""Which frames of a test set follow each other, by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from mmslg.evaluation.functional import frame_name

SEQUENCES = ('auto', 'numbers')
LARGEST_GAP = 5
"""Times the median one of its sequence; beyond it a frame does not follow the one before."""
_LAST_NUMBER = re.compile(r'(.*?)([0-9]+)([^0-9/]*?(?:\.[^./]*)?)')


def earlier_pairs(keys: Sequence[str], frames: int, sequence: str = 'auto') -> dict[str, str]:
    """Return for each pair the one ``frames`` before it in its sequence; those without one are left out.

    Args:
        keys: Of all pairs.
        frames: How many pairs back. KAIST's test set has every twentieth frame of a video.
        sequence: ``auto`` knows KAIST's names, ``numbers`` takes what stands before and behind the last
            number of a key, which is not one of the suffix, for the name of the sequence. Where the number
            leaps, by more than :data:`LARGEST_GAP` times the median step, another sequence begins.

    Example:
        >>> earlier_pairs(['a_1.png', 'a_3.png', 'b_3.png'], 1, 'numbers')
        {'a_3.png': 'a_1.png'}
    """
    groups: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for key in keys:
        name = frame_name(key) if sequence == 'auto' else key
        found = _LAST_NUMBER.fullmatch(name) if name else None
        if found:
            groups.setdefault((found[1], found[3]), []).append((int(found[2]), key))
    runs = [run for group in groups.values() for run in _runs(sorted(group))]
    return {late: early for run in runs for early, late in zip(run, run[frames:])}


def _runs(group: Sequence[tuple[int, str]]) -> list[list[str]]:
    """Cut numbered keys, in their order, where a number leaps."""
    gaps = [late - early for (early, _), (late, _) in pairwise(group)]
    largest = LARGEST_GAP * max(median(gaps), 1) if gaps else 0
    runs = [[group[0][1]]]
    for gap, (_, key) in zip(gaps, group[1:]):
        if gap > largest:
            runs.append([])
        runs[-1].append(key)
    return runs
