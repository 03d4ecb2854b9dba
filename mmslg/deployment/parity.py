"""Whether a deployed model finds what the detector finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mmslg.errors import InputError

MAX_PIXELS = 0.5
MAX_SCORE = 1e-3
MIN_SCORE = 0.3

Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Boxes ``(N, 4)`` in pixels of the original image, scores ``(N,)``, labels ``(N,)``."""


@dataclass
class Parity:
    """How many detections of either side have a counterpart on the other.

    Attributes:
        pairs: Pairs compared.
        total: Detections from ``min_score`` on, of both sides.
        matched: Those with a counterpart of the same class within the tolerances.
        pixels: Largest distance of a side of a box among the matched.
        score: Largest difference of scores among the matched.
    """

    pairs: int = 0
    total: int = 0
    matched: int = 0
    pixels: float = 0.0
    score: float = 0.0

    @property
    def share(self) -> float:
        """Matched of all, 1 if there is none."""
        return self.matched / self.total if self.total else 1.0

    def __str__(self) -> str:
        return (
            f'{self.matched} of {self.total} detections of {self.pairs} pairs agree ({self.share:.2%}); '
            f'largest differences {self.pixels:.2g} pixels, {self.score:.1g} of score'
        )


def compare(
    reference: Sequence[Found],
    others: Sequence[Found],
    max_pixels: float = MAX_PIXELS,
    max_score: float = MAX_SCORE,
    min_score: float = MIN_SCORE,
) -> Parity:
    """Compare detections pair by pair, from both sides.

    A detection at the threshold may fall below it on the other side: counterparts are looked for a
    tolerance further down.
    """
    parity = Parity(len(reference))
    for pair in zip(reference, others):
        for mine, theirs in (pair, pair[::-1]):
            _count(parity, mine, theirs, max_pixels, max_score, min_score)
    return parity


def _count(
    parity: Parity, mine: Found, theirs: Found, max_pixels: float, max_score: float, min_score: float
) -> None:
    free = np.ones(len(theirs[1]), bool)
    for box, score, label in zip(*mine):
        if score < min_score:
            continue
        parity.total += 1
        if not len(free):
            continue
        pixels = np.abs(theirs[0] - box).max(1)
        scores = np.abs(theirs[1] - score)
        fits = free & (theirs[2] == label) & (pixels <= max_pixels) & (scores <= max_score)
        if not fits.any():
            continue
        best = int(np.argmin(np.where(fits, pixels, np.inf)))
        free[best] = False
        parity.matched += 1
        parity.pixels = max(parity.pixels, float(pixels[best]))
        parity.score = max(parity.score, float(scores[best]))


def check(parity: Parity, name: str, wanted: float = 0.999) -> None:
    """Raise InputError if fewer than ``wanted`` of the detections agree."""
    if parity.share < wanted:
        raise InputError(f'{name} does not find what the checkpoint finds: {parity}; nothing was written')


def feature_difference(
    reference: Callable[..., Sequence], run: Callable[..., Sequence], inputs: Sequence
) -> float:
    """Return the largest difference of feature maps, relative to the largest value of each."""
    return max(
        float(np.abs(np.asarray(a) - np.asarray(b)).max() / max(np.abs(np.asarray(a)).max(), 1e-12))
        for batch in inputs
        for a, b in zip(reference(*batch), run(*batch))
    )
