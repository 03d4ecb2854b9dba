"""The log-average miss rate of the KAIST benchmark, in numpy alone.

Two evaluators circulate, and their figures differ by up to three points; ``protocol`` chooses one:

``matlab``
    The MATLAB devkit, and the default. A ground truth is ignored if it is no ``person``, its height or
    its occlusion is out of the setting's range, or an edge lies outside x [5, 635], y [5, 507]. In each
    image detections are taken by falling score; one becomes a true positive with the free person it
    overlaps most, at an intersection over union of at least 0.5. Otherwise it is left out of the count
    if at least half of its own area lies in an ignored ground truth, which absorbs any number of them.
    Otherwise it is a false positive. The miss rate is read at nine points ``10 ** (-2:0.25:0)`` of
    false positives per image (1 where the curve has not begun) and averaged as
    ``exp(mean(log(max(1e-10, miss))))``. All images count.
``sejong``
    The Python script that came with MLPD and INSANet, for comparison with figures made by it. It
    departs in three points that tell on the test set: (1) the ground truth of an image without any
    detection is dropped, so that a high score threshold *lowers* the miss rate; (2) a match of the
    annotation with id 0 counts as a false positive; (3) the nine points are rounded to four digits.
    Three more tell only on small sets or crowded files, and are kept too: at most 1000 detections an
    image, no lower bound of 1e-10, and a curve that begins beyond a point is read at its end.

Equal scores are broken as both do it: by image, and in an image by the order of the detections.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from mmslg.errors import InputError
from mmslg.evaluation.functional.kaist import GroundTruth
from mmslg.evaluation.functional.kaist_results import Detections
from mmslg.evaluation.functional.overlaps import IOU_THRESHOLD, Overlaps, find_overlaps

BOUNDS = (5, 5, 635, 507)
"""Left, top, right and bottom of the region in which a ground truth counts, in pixels."""
SPLITS = ('all', 'day', 'night')


class Setting(NamedTuple):
    """Which persons count; both ends of a range belong to it.

    Attributes:
        height: Least and greatest height in pixels.
        occlusion: Occlusion levels: 0 none, 1 partial, 2 heavy.
    """

    height: tuple[float, float]
    occlusion: tuple[int, ...]


SETTINGS = {
    'reasonable': Setting((55, math.inf), (0, 1)),
    'all': Setting((20, math.inf), (0, 1, 2)),
    'near': Setting((115, math.inf), (0,)),
    'medium': Setting((45, 115), (0,)),
    'far': Setting((1, 45), (0,)),
    'none': Setting((1, math.inf), (0,)),
    'partial': Setting((1, math.inf), (1,)),
    'heavy': Setting((1, math.inf), (2,)),
}


class Rules(NamedTuple):
    """What the two evaluators do differently; see the top of this file.

    Attributes:
        points: The false positives per image at which the miss rate is read.
        floor: Lower bound of a miss rate before its logarithm.
        max_detections: Detections of an image that count at most.
        drops_images: Drop the ground truth of images without detections.
        loses_first: Take a match of the annotation with id 0 for a false positive.
        wraps: Read a curve that begins beyond a point at the curve's end instead of taking 1.
    """

    points: tuple[float, ...]
    floor: float = 1e-10
    max_detections: float = math.inf
    drops_images: bool = False
    loses_first: bool = False
    wraps: bool = False


PROTOCOLS = {
    'matlab': Rules(tuple(10 ** (-2 + i / 4) for i in range(9))),
    'sejong': Rules(
        (0.01, 0.0178, 0.0316, 0.0562, 0.1, 0.1778, 0.3162, 0.5623, 1.0), 0.0, 1000, True, True, True
    ),
}


class Curve(NamedTuple):
    """Miss rate against false positives per image.

    Attributes:
        miss_rate: The log-average, in percent; NaN if no person counts.
        fppi: (N,) false positives per image, rising.
        miss: (N,) share of the persons that are missed there, 0-1.
        num_persons: Persons that count.
        num_images: Images that count.
    """

    miss_rate: float
    fppi: np.ndarray
    miss: np.ndarray
    num_persons: int
    num_images: int


def check_names(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a setting or protocol that there is not.

    Raises:
        InputError: A name is unknown; the message lists the known ones.
    """
    known = tuple(known)
    for name in names:
        if name not in known:
            raise InputError(f'no {kind} {name!r}; there are {", ".join(known)}')


def ignored(truth: GroundTruth, setting: Setting) -> np.ndarray:
    """Return (N,) whether each ground truth is ignored in a setting."""
    left, top = truth.boxes[:, 0], truth.boxes[:, 1]
    right, bottom = left + truth.boxes[:, 2], top + truth.boxes[:, 3]
    inside = (left >= BOUNDS[0]) & (right <= BOUNDS[2]) & (top >= BOUNDS[1]) & (bottom <= BOUNDS[3])
    # Boxes of negative size exist nowhere but in broken files: look at both edges on both sides.
    inside &= (left <= BOUNDS[2]) & (right >= BOUNDS[0]) & (top <= BOUNDS[3]) & (bottom >= BOUNDS[1])
    wanted = (truth.boxes[:, 3] >= setting.height[0]) & (truth.boxes[:, 3] <= setting.height[1])
    return truth.ignore | ~(inside & wanted & np.isin(truth.occlusion, setting.occlusion))


def match(overlaps: Overlaps, ignore: np.ndarray, num_detections: int) -> tuple[np.ndarray, np.ndarray]:
    """Match detections, which are ordered by falling score in each image, with the ground truth.

    Args:
        overlaps: From :func:`find_overlaps`.
        ignore: (N,) whether each ground truth is ignored.
        num_detections: Number D of detections.

    Returns:
        outcome: (D,) 1 true positive, 0 false positive, -1 left out of the count.
        matched: (D,) index of the person of each true positive, else -1.
    """
    on_ignored = ignore[overlaps.truth]
    outcome = np.zeros(num_detections, dtype=np.int8)
    outcome[overlaps.detection[on_ignored & (overlaps.over_detection >= IOU_THRESHOLD)]] = -1
    matched = np.full(num_detections, -1)
    pairs = np.flatnonzero(~on_ignored & (overlaps.over_union >= IOU_THRESHOLD))
    # By detection, then by falling overlap; of equal overlaps the later ground truth comes first.
    keys = (-overlaps.truth[pairs], -overlaps.over_union[pairs], overlaps.detection[pairs])
    pairs = pairs[np.lexsort(keys)]
    taken: set[int] = set()
    done = -1
    for detection, person in zip(overlaps.detection[pairs].tolist(), overlaps.truth[pairs].tolist()):
        if detection != done and person not in taken:
            taken.add(person)
            done = detection
            matched[detection] = person
    outcome[matched >= 0] = 1
    return outcome, matched


def log_average(fppi: np.ndarray, miss: np.ndarray, rules: Rules) -> float:
    """Average a curve at the protocol's points.

    Args:
        fppi: (N,) false positives per image, rising.
        miss: (N,) miss rate there, 0-1.
        rules: What to follow.

    Returns:
        The log-average miss rate, 0-1.
    """
    last = np.searchsorted(fppi, rules.points, side='right') - 1
    # Index -1, before the curve begins, is its end in the one protocol and a miss rate of 1 in the other.
    values = miss[last] if rules.wraps and len(miss) else np.concatenate([[1.0], miss])[last + 1]
    with np.errstate(divide='ignore'):
        return float(np.exp(np.log(np.maximum(rules.floor, values)).mean()))


def compute_miss_rates(
    truth: GroundTruth,
    detections: Detections,
    settings: Iterable[str] = ('reasonable', 'all'),
    protocol: str = 'matlab',
) -> dict[str, dict[str, Curve]]:
    """Compute the miss rates of one method.

    Args:
        truth: The ground truth.
        detections: What the method found.
        settings: Names of :data:`SETTINGS`.
        protocol: Name of :data:`PROTOCOLS`.

    Returns:
        By setting and by split (``all``, ``day``, ``night``) the curve with its log-average.

    Raises:
        InputError: A setting or the protocol is unknown.

    Example:
        >>> truth = read_ground_truth('KAIST_annotation.json')
        >>> curves = compute_miss_rates(truth, read_detections('MLPD_result.txt', truth))
        >>> round(curves['reasonable']['all'].miss_rate, 2)
        7.58
    """
    settings = tuple(settings)
    check_names('setting', settings, SETTINGS)
    check_names('protocol', [protocol], PROTOCOLS)
    rules = PROTOCOLS[protocol]
    order = np.lexsort((-detections.scores, detections.image))
    image = detections.image[order]
    rank = np.arange(len(image)) - np.searchsorted(image, image)
    order = order[rank < rules.max_detections]
    image, boxes, scores = (a[order] for a in (detections.image, detections.boxes, detections.scores))
    overlaps = find_overlaps(truth, image, boxes)
    by_score = np.argsort(-scores, kind='stable')
    found_in = np.bincount(image, minlength=len(truth.names)) > 0

    curves: dict[str, dict[str, Curve]] = {}
    for name in settings:
        ignore = ignored(truth, SETTINGS[name])
        outcome, matched = match(overlaps, ignore, len(image))
        if rules.loses_first:
            hits = np.flatnonzero(matched >= 0)
            outcome[hits[truth.first[matched[hits]]]] = 0
        curves[name] = {}
        for split in SPLITS:
            images = truth.times == split if split != 'all' else np.ones(len(truth.names), dtype=bool)
            counted = images & found_in if rules.drops_images and len(image) else images
            num_persons = int((~ignore & counted[truth.image]).sum())
            chosen = by_score[images[image[by_score]] & (outcome[by_score] >= 0)]
            hits = outcome[chosen] == 1
            fppi = np.cumsum(~hits) / max(images.sum(), 1)
            miss = 1 - np.cumsum(hits) / max(num_persons, 1)
            mean = 100 * log_average(fppi, miss, rules) if num_persons else math.nan
            curves[name][split] = Curve(mean, fppi, miss, num_persons, int(images.sum()))
    return curves
