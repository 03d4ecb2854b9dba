"""What counts and what is ignored on the KAIST test list."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

PERSON = 'person'


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
        heights: (N,) pixels.
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
    heights: np.ndarray
    occlusion: np.ndarray
    ignore: np.ndarray
    first: np.ndarray
    person_category: int = 1
    notes: tuple[str, ...] = field(default=())


def finite(values: Any, count: int) -> list[float] | None:
    """Return ``count`` finite numbers, or None if ``values`` is anything else."""
    if not isinstance(values, (list, tuple)) or len(values) != count:
        return None
    try:
        numbers = [float(v) for v in values if not isinstance(v, bool)]
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None
