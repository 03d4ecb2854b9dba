"""AP of oriented boxes with its protocol, for runners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.ops import box_iou_rotated
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmslg.annotations import read_annotations
from mmslg.errors import InputError
from mmslg.evaluation.functional import (
    ClassMatches,
    OrientedFigures,
    Protocol,
    evaluate_class,
    format_oriented,
    images_by_condition,
    mean_over_present,
)
from mmslg.evaluation.functional.oriented_ap import MODES
from mmslg.evaluation.metrics.predictions import (
    check_image,
    classes_of,
    predicted_arrays,
    protocol_of,
    to_array,
)
from mmslg.registry import METRICS

THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))


@METRICS.register_module()
class OrientedAPMetric(BaseMetric):
    """AP of oriented boxes by class at IoU 0.50, its mean, and the mean over IoU 0.50:0.95.

    At IoU 0.50 it equals ``mmrotate.DOTAMetric``; it computes each overlap once for all thresholds and
    starts no processes. Classes without ground truth are left out of the mean, and said. Figures are named
    ``mAP`` (over 0.50:0.95), ``mAP_50``, ``car_AP_50``, ..., and ``mAP_50_day``, ... where the annotations
    know the time.

    Args:
        ann_file: Annotations of the split that is run, for the protocol; the boxes come with the samples.
        eval_mode: ``11points`` (VOC07, the figure DroneVehicle is reported in) or ``area``.
        collect_device: ``cpu`` or ``gpu``: where processes gather their results.
        prefix: Of the names of the figures.

    Raises:
        InputError: The annotations cannot be used or lack a class of the dataset, the mode is neither of
            the two, or a prediction is of another image or not finite.

    Example:
        >>> val_evaluator = dict(type='mmslg.OrientedAPMetric', ann_file='data/dronevehicle/test.json')
    """

    default_prefix = 'oriented'

    def __init__(
        self,
        ann_file: str,
        eval_mode: str = '11points',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if eval_mode not in MODES:
            raise InputError(f'eval_mode must be one of {", ".join(MODES)}, got {eval_mode!r}')
        self.eval_mode = eval_mode
        self.annotations = read_annotations(ann_file)
        self._image_ids = {pair.id for pair in self.annotations.pairs}

    def describe(self) -> Protocol:
        """Return what the figures stand for."""
        metric = f'{MODES[self.eval_mode]}, oriented boxes, IoU 0.50 (AP_50) and the mean over IoU 0.50:0.95'
        return protocol_of(metric, self.annotations, classes_of(self.dataset_meta, self.annotations))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Compare each sample with its ground truth.

        Args:
            data_batch: Not used.
            data_samples: ``pred_instances`` with ``bboxes`` (N, 5) cx, cy, w, h, angle in pixels and radians
                of the original image, ``scores`` and ``labels``; ``gt_instances`` and ``ignored_instances``
                with ``bboxes`` (G, 5) and ``labels``.
        """
        classes = classes_of(self.dataset_meta, self.annotations)
        for sample in data_samples:
            check_image(sample, self._image_ids, self.annotations.path)
            boxes, scores, labels = predicted_arrays(sample, classes)
            truth, kinds, ignored = [], [], []
            for key, skip in (('gt_instances', False), ('ignored_instances', True)):
                part = sample.get(key) or {}
                if 'labels' in part and len(part['labels']):
                    truth.append(to_array(part['bboxes']))
                    kinds.append(to_array(part['labels']).astype(int))
                    ignored.append(np.full(len(kinds[-1]), skip))
            truth = np.concatenate([np.zeros((0, 5)), *truth])
            kinds = np.concatenate([np.zeros(0, int), *kinds])
            ignored = np.concatenate([np.zeros(0, bool), *ignored])
            matches = {}
            for label in set(labels.tolist()) | set(kinds.tolist()):
                mine, theirs = labels == label, kinds == label
                matches[label] = ClassMatches(
                    scores[mine], _overlaps(boxes[mine], truth[theirs]), ignored[theirs]
                )
            self.results.append((sample['img_id'], sample.get('time'), matches))

    def compute_metrics(self, results: list[tuple[int, str | None, dict]]) -> dict[str, float]:
        """Evaluate what all processes gathered.

        Returns:
            Fractions of one; NaN where nothing counts.
        """
        found = {image: (time, matches) for image, time, matches in results}
        classes = classes_of(self.dataset_meta, self.annotations)
        notes = [str(self.describe())]
        if len(found) < len(self._image_ids):
            notes.append(
                f'only {len(found)} of {len(self._image_ids)} images were run; the others do not count'
            )
        rows = {'all': self._evaluate(found, list(found), classes)}
        for name, ids in images_by_condition({image: time for image, (time, _) in found.items()}).items():
            rows[name] = self._evaluate(found, ids, classes)
        lines = [*notes, format_oriented(rows['all'], THRESHOLDS)]
        figures = {}
        for condition, row in rows.items():
            end = '' if condition == 'all' else f'_{condition}'
            figures[f'mAP{end}'] = mean_over_present(list(row.values()))
            figures[f'mAP_50{end}'] = mean_over_present(list(row.values()), 0)
            if end:
                lines.append(
                    f'{condition}: mAP_50 {figures[f"mAP_50{end}"]:.3f}, mAP {figures[f"mAP{end}"]:.3f}'
                )
        figures |= {f'{name}_AP_50': f.ap[0] for name, f in rows['all'].items()}
        print_log('\n'.join(lines), 'current')
        return figures

    def _evaluate(self, found: dict, ids: list, classes: tuple[str, ...]) -> dict[str, OrientedFigures]:
        nothing = ClassMatches(np.zeros(0), np.zeros((0, 0)), np.zeros(0, bool))
        return {
            name: evaluate_class(
                [found[image][1].get(label, nothing) for image in ids], THRESHOLDS, self.eval_mode
            )
            for label, name in enumerate(classes)
        }


def _overlaps(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the IoU of oriented boxes (D, 5) and (G, 5) as (D, G)."""
    if not len(boxes) or not len(truth):
        return np.zeros((len(boxes), len(truth)))
    first, second = (torch.as_tensor(part, dtype=torch.float32) for part in (boxes, truth))
    return box_iou_rotated(first, second).numpy()
