"""Words and tables for miss rates."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mmslg.evaluation.functional.kaist import GroundTruth
from mmslg.evaluation.functional.kaist_results import Detections
from mmslg.evaluation.functional.miss_rate import SETTINGS, SPLITS, Curve, ignored

Curves = Mapping[str, Mapping[str, Curve]]


def miss_rates_of(curves: Curves) -> dict[str, dict[str, float | None]]:
    """Return the log-average miss rates in percent by setting and split; None where nothing counts."""
    return {
        setting: {
            split: None if math.isnan(curve.miss_rate) else curve.miss_rate for split, curve in row.items()
        }
        for setting, row in curves.items()
    }


def format_table(methods: Mapping[str, Curves], protocol: str) -> str:
    """Format the miss rates in percent, a row for each method and setting with the protocol's name."""
    width = max(len(name) for name in ('method', *methods)) + 2
    lines = [f'{"method":{width}}{"protocol":10}{"setting":12}' + ''.join(f'{s:>8}' for s in SPLITS)]
    for name, curves in methods.items():
        for setting, row in curves.items():
            values = [row[split].miss_rate for split in SPLITS]
            figures = ''.join(f'{"-" if math.isnan(v) else format(v, ".2f"):>8}' for v in values)
            lines.append(f'{name:{width}}{protocol:10}{setting:12}{figures}')
    return '\n'.join(lines)


def describe_ground_truth(truth: GroundTruth, settings: tuple[str, ...]) -> list[str]:
    """Say how many images there are and how many persons count in each setting."""
    day, night = (truth.times == 'day'), (truth.times == 'night')
    lines = [f'ground truth {truth.source}: {len(truth.names)} images, {day.sum()} day, {night.sum()} night']
    if day.sum() + night.sum() < len(truth.names):
        lines.append(f'{len(truth.names) - day.sum() - night.sum()} images have no known time of day')
    for name in settings:
        counted = truth.image[~ignored(truth, SETTINGS[name])]
        lines.append(
            f'{name}: {len(counted)} persons, {day[counted].sum()} day, {night[counted].sum()} night'
        )
    return [*lines, *truth.notes]


def find_notes(detections: Detections, truth: GroundTruth, protocol: str) -> list[str]:
    """Say what one should know of a file of detections before its figures are compared."""
    num_images = len(np.unique(detections.image))
    notes = [
        f'{len(detections.image)} detections in {num_images} of {len(truth.names)} images',
        *detections.notes,
    ]
    order = np.lexsort((-detections.scores, detections.image))
    image, scores = detections.image[order], detections.scores[order]
    ties = int(((np.diff(image) == 0) & (np.diff(scores) == 0)).sum())
    if ties:
        notes.append(
            f'{ties} equal scores in the same image; there the order of the lines decides, as in the devkit'
        )
    in_order = detections.scores[np.argsort(detections.image, kind='stable')]
    if protocol == 'sejong' and ((np.diff(image) == 0) & (np.diff(in_order) > 0)).any():
        notes.append(
            'lines of an image are not sorted by score: they are sorted here, the published script takes '
            'them for each other'
        )
    return notes
