"""Average precision as COCO defines it, by condition and by class."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmslg.evaluation.functional.protocol import format_figures, images_by_condition

if TYPE_CHECKING:
    from faster_coco_eval import COCO

METRIC = 'COCO mAP, IoU 0.50:0.95, mean over 101 recall points, 100 detections an image'
STATS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class; NaN where it has no ground truth.

    Args:
        boxes: Boxes of the ground truth that count.
        ap: AP over IoU 0.50:0.95.
        ap_50: AP at IoU 0.50.
    """

    boxes: int
    ap: float
    ap_50: float


@dataclass(frozen=True)
class CocoFigures:
    """Figures over some images.

    Args:
        num_images: How many.
        stats: The six figures of ``STATS``; NaN where nothing counts.
        classes: By class name.
    """

    num_images: int
    stats: dict[str, float]
    classes: dict[str, ClassFigures]

    def to_dict(self) -> dict:
        """Return plain values, None for NaN."""
        return {
            'images': self.num_images,
            **{name: _plain(value) for name, value in self.stats.items()},
            'classes': {
                name: {'boxes': c.boxes, 'AP': _plain(c.ap), 'AP_50': _plain(c.ap_50)}
                for name, c in self.classes.items()
            },
        }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def load_truth(data: dict) -> COCO:
    """Return the index that the evaluation wants of annotations in COCO form."""
    from faster_coco_eval import COCO  # brings OpenCV, which the other metrics do not wait for

    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(data)


def evaluate_coco(
    truth: COCO,
    detections: Sequence[dict],
    classes: Sequence[str],
    image_ids: Sequence[int] | None = None,
) -> CocoFigures:
    """Evaluate detections.

    Args:
        truth: What :func:`load_truth` returned.
        detections: ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in pixels), ``score``.
        classes: Names of the categories that count.
        image_ids: The images that count; None is all of them.
    """
    from faster_coco_eval import COCOeval_faster

    ids = {category['name']: category['id'] for category in truth.dataset['categories']}
    category_ids = [ids[name] for name in classes]
    image_ids = truth.getImgIds() if image_ids is None else list(image_ids)
    chosen = set(image_ids)
    counts = dict.fromkeys(category_ids, 0)
    for annotation in truth.dataset['annotations']:
        if annotation['category_id'] in counts and annotation['image_id'] in chosen:
            counts[annotation['category_id']] += not (annotation.get('iscrowd') or annotation.get('ignore'))
    kept = [d for d in detections if d['image_id'] in chosen and d['category_id'] in counts]
    if not kept:
        none = {name: _absent(counts[c]) for name, c in zip(classes, category_ids)}
        total = _absent(sum(counts.values())).ap
        stats = {name: total if name in STATS[:3] else math.nan for name in STATS}
        return CocoFigures(len(image_ids), stats, none)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval_faster(truth, truth.loadRes(kept), 'bbox')
        evaluation.params.catIds = category_ids
        evaluation.params.imgIds = image_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval['precision'][:, :, :, 0, -1]  # IoU, recall, class; all areas, 100 detections
    figures = {
        name: ClassFigures(counts[c], _mean(precision[:, :, k]), _mean(precision[0, :, k]))
        for k, (name, c) in enumerate(zip(classes, category_ids))
    }
    stats = {name: float(v) if v >= 0 else math.nan for name, v in zip(STATS, evaluation.stats[:6])}
    return CocoFigures(len(image_ids), stats, figures)


def _absent(count: int) -> ClassFigures:
    value = 0.0 if count else math.nan
    return ClassFigures(count, value, value)


def _mean(precision: np.ndarray) -> float:
    precision = precision[precision > -1]
    return float(precision.mean()) if precision.size else math.nan


def evaluate_by_condition(
    truth: COCO, detections: Sequence[dict], classes: Sequence[str]
) -> dict[str, CocoFigures]:
    """Evaluate all images (``all``), and those by ``day`` and ``night`` where the annotations know it."""
    times = {image['id']: image.get('time') for image in truth.dataset['images']}
    rows = {'all': evaluate_coco(truth, detections, classes)}
    for name, ids in images_by_condition(times).items():
        rows[name] = evaluate_coco(truth, detections, classes, ids)
    return rows


def format_coco(rows: Mapping[str, CocoFigures]) -> str:
    """Format the figures by condition, and below the classes over all images."""
    table = [[name, row.num_images, *row.stats.values()] for name, row in rows.items()]
    classes = [[name, c.boxes, c.ap, c.ap_50] for name, c in rows['all'].classes.items()]
    absent = [name for name, c in rows['all'].classes.items() if not c.boxes]
    lines = [
        format_figures(('images', 'number', *STATS), table),
        '',
        format_figures(('class', 'boxes', 'AP', 'AP_50'), classes),
    ]
    if absent:
        lines.append(f'no ground truth of {", ".join(absent)}: left out of every mean')
    return '\n'.join(lines)
