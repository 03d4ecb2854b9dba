"""Average precision of oriented boxes as PASCAL VOC and DOTA define it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmslg.evaluation.functional.protocol import format_figures

MODES = {'11points': 'VOC07 11-point AP', 'area': 'AP as the area under the curve'}


@dataclass(frozen=True)
class ClassMatches:
    """What was found of one class in one image.

    Args:
        scores: Of the detections, (D,).
        ious: Of each detection with each box of the ground truth, (D, G).
        ignored: Boxes of the ground truth that neither count nor make a detection wrong, (G,) bool.
    """

    scores: np.ndarray
    ious: np.ndarray
    ignored: np.ndarray


@dataclass(frozen=True)
class OrientedFigures:
    """Figures of one class.

    Args:
        boxes: Boxes of the ground truth that count.
        detections: Detections.
        ap: AP at each threshold; NaN without ground truth.
    """

    boxes: int
    detections: int
    ap: tuple[float, ...]


def average_precision(recall: np.ndarray, precision: np.ndarray, mode: str) -> float:
    """Return the AP of a curve.

    Args:
        recall: After each detection, by falling score, (N,).
        precision: Likewise.
        mode: ``11points``: mean of the best precision from recall 0, 0.1, ..., 1 on (VOC07). ``area``:
            area under the curve made monotonous (VOC10 and later).
    """
    best = np.maximum.accumulate(precision[::-1])[::-1] if precision.size else precision
    if mode == '11points':
        starts = np.searchsorted(recall, np.arange(0.0, 1.1, 0.1)[:11])  # as the published scripts step
        return float(np.append(best, 0.0)[starts].sum() / 11)
    steps = np.diff(recall, prepend=0.0)
    return float((steps * best).sum())


def evaluate_class(
    images: Sequence[ClassMatches], thresholds: Sequence[float], mode: str = '11points'
) -> OrientedFigures:
    """Evaluate one class over all images.

    As in VOC's devkit a detection is compared with the box it overlaps most alone: a hit if that box is
    not yet taken by one of higher score, wrong otherwise, and left out if that box is ignored.
    """
    scores = np.concatenate([np.zeros(0), *(image.scores for image in images)])
    order = np.argsort(-scores, kind='stable')
    boxes = int(sum((~image.ignored).sum() for image in images))
    figures = []
    for threshold in thresholds:
        hit, wrong = (
            np.concatenate([np.zeros(0, bool), *part])[order]
            for part in zip(*(_match(image, threshold) for image in images), strict=True)
        )
        hits, errors = np.cumsum(hit), np.cumsum(wrong)
        recall = hits / max(boxes, 1)
        precision = hits / np.maximum(hits + errors, 1)
        figures.append(average_precision(recall, precision, mode) if boxes else math.nan)
    return OrientedFigures(boxes, len(scores), tuple(figures))


def _match(image: ClassMatches, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return which detections are hits and which are wrong, in the order they came."""
    hit = np.zeros(len(image.scores), bool)
    wrong = np.zeros(len(image.scores), bool)
    if not image.ious.shape[1]:
        return hit, ~hit
    best = image.ious.argmax(1)
    close = image.ious.max(1) >= threshold
    taken = np.zeros(image.ious.shape[1], bool)
    for i in np.argsort(-image.scores, kind='stable'):
        if not close[i]:
            wrong[i] = True
        elif not image.ignored[best[i]]:
            hit[i] = not taken[best[i]]
            wrong[i] = taken[best[i]]
            taken[best[i]] = True
    return hit, wrong


def mean_over_present(figures: Sequence[OrientedFigures], threshold: int | None = None) -> float:
    """Return the mean over the classes with ground truth: at one threshold (by place), or over all."""
    present = [f.ap if threshold is None else f.ap[threshold : threshold + 1] for f in figures if f.boxes]
    return float(np.mean(present)) if present else math.nan


def format_oriented(figures: dict[str, OrientedFigures], thresholds: Sequence[float]) -> str:
    """Format the figures by class and their mean."""
    names = ('AP_50', f'AP {thresholds[0]:.2f}:{thresholds[-1]:.2f}')
    rows = [
        [name, f.boxes, f.detections, f.ap[0], float(np.mean(f.ap)) if f.boxes else math.nan]
        for name, f in figures.items()
    ]
    values = list(figures.values())
    absent = [name for name, f in figures.items() if not f.boxes]
    total = f'mean of {len(figures) - len(absent)}' if absent else 'mean'
    rows.append(
        [
            total,
            sum(f.boxes for f in values),
            sum(f.detections for f in values),
            mean_over_present(values, 0),
            mean_over_present(values),
        ]
    )
    lines = [format_figures(('class', 'boxes', 'detections', *names), rows)]
    if absent:
        lines.append(f'no ground truth of {", ".join(absent)}: left out of the mean')
    return '\n'.join(lines)
