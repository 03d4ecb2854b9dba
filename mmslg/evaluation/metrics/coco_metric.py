"""COCO's mAP with its protocol, for runners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmslg.annotations import read_annotations
from mmslg.evaluation.functional import (
    Protocol,
    evaluate_by_condition,
    format_coco,
    load_truth,
    notes_on_truth,
)
from mmslg.evaluation.functional.coco_ap import METRIC
from mmslg.evaluation.metrics.predictions import (
    check_image,
    classes_of,
    predicted_arrays,
    protocol_of,
    unrun_images,
)
from mmslg.registry import METRICS
from mmslg.utils.io import write_json


@METRICS.register_module()
class PairedCocoMetric(BaseMetric):
    """COCO's mAP, equal to pycocotools, with the protocol in words and rows for day and night.

    Figures have the names of ``mmdet.CocoMetric``: ``bbox_mAP``, ``bbox_mAP_50``, ..., ``car_precision``,
    and beside them ``bbox_mAP_day``, ``bbox_mAP_50_day``, ... where the annotations know the time.

    Args:
        ann_file: Annotations of the split that is run.
        outfile_prefix: Write the detections to ``{prefix}.bbox.json``, in the form of COCO's results.
        collect_device: ``cpu`` or ``gpu``: where processes gather their results.
        prefix: Of the names of the figures.

    Raises:
        InputError: The annotations cannot be used or lack a class of the dataset, or a prediction is of
            another image.

    Example:
        >>> val_evaluator = dict(type='mmslg.PairedCocoMetric', ann_file='data/llvip/annotations_test.json')
    """

    default_prefix = 'coco'

    def __init__(
        self,
        ann_file: str,
        outfile_prefix: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.outfile_prefix = outfile_prefix
        self.annotations = read_annotations(ann_file)
        self.truth = load_truth(self.annotations.data)
        self._category_ids = {c['name']: c['id'] for c in self.annotations.data['categories']}
        self._image_ids = {pair.id for pair in self.annotations.pairs}

    def describe(self) -> Protocol:
        """Return what the figures stand for."""
        return protocol_of(METRIC, self.annotations, classes_of(self.dataset_meta, self.annotations))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the predictions of each sample.

        Args:
            data_batch: Not used.
            data_samples: ``img_id`` and ``pred_instances`` with ``bboxes`` (N, 4) x1, y1, x2, y2 in pixels
                of the original image, ``scores`` (N,) and ``labels`` (N,).
        """
        classes = classes_of(self.dataset_meta, self.annotations)
        category_ids = [self._category_ids[name] for name in classes]
        for sample in data_samples:
            check_image(sample, self._image_ids, self.annotations.path)
            image_id = sample['img_id']
            boxes, scores, labels = predicted_arrays(sample, classes)
            boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
            found = [
                dict(image_id=image_id, category_id=category_ids[label], bbox=box, score=score)
                for box, score, label in zip(boxes.tolist(), scores.tolist(), labels.tolist())
            ]
            self.results.append((image_id, found))

    def compute_metrics(self, results: list[tuple[int, list[dict]]]) -> dict[str, float]:
        """Evaluate what all processes gathered.

        Returns:
            ``bbox_mAP``, ... as fractions of one; NaN where nothing counts.
        """
        found = dict(results)  # by image: the last batch of a sampler may repeat some
        detections = [detection for image in sorted(found) for detection in found[image]]
        notes = [*notes_on_truth(self.annotations.data), unrun_images(len(found), len(self._image_ids))]
        if self.outfile_prefix is not None:
            write_json(f'{self.outfile_prefix}.bbox.json', detections)
            notes.append(f'detections: {self.outfile_prefix}.bbox.json')
        classes = classes_of(self.dataset_meta, self.annotations)
        rows = evaluate_by_condition(self.truth, detections, classes)
        print_log('\n'.join([str(self.describe()), *filter(None, notes), format_coco(rows)]), 'current')
        figures = {f'bbox_{name}': value for name, value in rows['all'].stats.items()}
        figures |= {f'{name}_precision': c.ap for name, c in rows['all'].classes.items()}
        for condition in (name for name in rows if name != 'all'):
            figures |= {f'bbox_{k}_{condition}': rows[condition].stats[k] for k in ('mAP', 'mAP_50')}
        return figures
