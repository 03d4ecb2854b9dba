"""Overlaps of detections with the ground truth of their images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mmslg.evaluation.functional.kaist import GroundTruth

IOU_THRESHOLD = 0.5


class Overlaps(NamedTuple):
    """The pairs of a detection and a ground truth of one image that meet at all.

    Attributes:
        detection: (P,) index of the detection, rising.
        truth: (P,) index of the ground truth, rising for each detection.
        over_union: (P,) intersection / union.
        over_detection: (P,) intersection / area of the detection.
    """

    detection: np.ndarray
    truth: np.ndarray
    over_union: np.ndarray
    over_detection: np.ndarray


def find_overlaps(truth: GroundTruth, image: np.ndarray, boxes: np.ndarray) -> Overlaps:
    """Find the pairs that meet.

    Args:
        truth: The ground truth.
        image: (D,) image of each detection, 0-based.
        boxes: (D, 4) detections, x, y, w, h in pixels.
    """
    per_image = np.bincount(truth.image, minlength=len(truth.names))
    starts = np.cumsum(per_image) - per_image
    counts = per_image[image]
    detection = np.repeat(np.arange(len(image)), counts)
    nth = np.arange(len(detection)) - np.repeat(np.cumsum(counts) - counts, counts)
    index = starts[image[detection]] + nth
    found, wanted = boxes[detection], truth.boxes[index]
    size = np.minimum(found[:, :2] + found[:, 2:], wanted[:, :2] + wanted[:, 2:]) - np.maximum(
        found[:, :2], wanted[:, :2]
    )
    meet = (size > 0).all(axis=1)
    found, wanted, size = found[meet], wanted[meet], size[meet]
    with np.errstate(over='ignore', invalid='ignore'):  # boxes of 1e200 pixels match nothing
        common, area = size.prod(axis=1), found[:, 2:].prod(axis=1)
        union = area + wanted[:, 2:].prod(axis=1) - common
        return Overlaps(detection[meet], index[meet], common / union, common / area)
