"""What kind of error a detector makes: detections and ground truth of one image, told apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

KINDS = ('hit', 'confused', 'duplicate', 'misplaced', 'background', 'left out')
"""What a detection can be: see :func:`sort_errors`."""
IOU = 0.5
NEAR = 0.1


class ImageErrors(NamedTuple):
    """What became of the detections and the ground truth of one image.

    Attributes:
        kinds: Place in ``KINDS`` of each detection, (D,).
        partners: Box of the ground truth that a hit or confused detection is matched with, else -1, (D,).
        missed: Whether a box of the ground truth counts and is matched with no detection, (G,).
    """

    kinds: np.ndarray
    partners: np.ndarray
    missed: np.ndarray


def sort_errors(
    scores: np.ndarray, labels: np.ndarray, truth: np.ndarray, ignored: np.ndarray, ious: np.ndarray
) -> ImageErrors:
    """Match detections, the surest first, with the ground truth of their image.

    A detection is a hit on the free box of its class that it overlaps most, by an IoU of 0.5 or more. Of the
    others, one that overlaps an ignored box that much is left out; a free box of another class, confused
    with it; a taken box of its class, a duplicate; a box of its class by 0.1, misplaced; else it is
    background.

    Args:
        scores: Of the detections, (D,).
        labels: Their classes, (D,).
        truth: Classes of the ground truth, (G,).
        ignored: Boxes that neither count nor make a detection wrong, (G,) bool.
        ious: IoU of each detection with each box, (D, G).
    """
    kinds = np.full(len(scores), KINDS.index('background'))
    partners = np.full(len(scores), -1)
    taken = np.zeros(len(truth), bool)
    order = np.argsort(-scores, kind='stable')
    same = labels[:, None] == truth[None]
    for name, fits in (('hit', same), ('confused', ~same)):
        for i in order:
            free = np.where(fits[i] & ~taken & ~ignored, ious[i], 0.0)
            if partners[i] < 0 and free.size and free.max() >= IOU and not _absorbed(ious[i], ignored, name):
                kinds[i], partners[i] = KINDS.index(name), free.argmax()
                taken[partners[i]] = True
    for i in order[partners[order] < 0]:
        if _absorbed(ious[i], ignored):
            kinds[i] = KINDS.index('left out')
        elif (ious[i][same[i]] >= IOU).any():
            kinds[i] = KINDS.index('duplicate')
        elif (ious[i][same[i]] >= NEAR).any():
            kinds[i] = KINDS.index('misplaced')
    return ImageErrors(kinds, partners, ~taken & ~ignored)


def _absorbed(ious: np.ndarray, ignored: np.ndarray, kind: str = '') -> bool:
    return kind != 'hit' and bool((ious[ignored] >= IOU).any())


def confusion_matrix(
    images: Iterable[tuple[ImageErrors, np.ndarray, np.ndarray]], num_classes: int
) -> np.ndarray:
    """Count what was annotated, by row, against what was found, by column; the last of both: nothing.

    Args:
        images: Errors, classes of the detections and classes of the ground truth of each image.
        num_classes: Number of classes.

    Returns:
        Counts ``(num_classes + 1, num_classes + 1)``. Misses stand in the last column; duplicates,
        misplaced ones and background in the last row.
    """
    counts = np.zeros((num_classes + 1, num_classes + 1), int)
    for errors, labels, truth in images:
        matched = errors.partners >= 0
        np.add.at(counts, (truth[errors.partners[matched]], labels[matched]), 1)
        np.add.at(counts, (num_classes, labels[~matched & (errors.kinds != KINDS.index('left out'))]), 1)
        np.add.at(counts, (truth[errors.missed], num_classes), 1)
    return counts
