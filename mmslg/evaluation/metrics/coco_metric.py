"""COCO's mAP with its protocol, for runners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmslg.errors import InputError
from mmslg.evaluation.functional import Protocol, evaluate_by_condition, format_coco, load_truth
from mmslg.evaluation.functional.coco_ap import METRIC
from mmslg.evaluation.metrics.predictions import predicted_arrays, unrun_images
from mmslg.registry import METRICS
from mmslg.utils.io import read_json, write_json


@METRICS.register_module()
class PairedCocoMetric(BaseMetric):
    """COCO's mAP, equal to pycocotools, with the protocol in words and rows for day and night.

    Figures have the names of ``mmdet.CocoMetric``: ``bbox_mAP``, ``bbox_mAP_50``, ..., ``car_precision``,
    and beside them ``bbox_mAP_day``, ``bbox_mAP_50_day``, ... where the annotations know the time.

    Args:
        ann_file: Annotations in COCO form.
        outfile_prefix: Write the detections to ``{prefix}.bbox.json``, in the form of COCO's results.
        collect_device: ``cpu`` or ``gpu``: where processes gather their results.
        prefix: Of the names of the figures.

    Raises:
        InputError: The annotations lack a class of the dataset, or a prediction is of another image.

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
        self.ann_file = ann_file
        self.outfile_prefix = outfile_prefix
        data = read_json(ann_file)
        self.info = data.get('info') or {}
        self.truth = load_truth(data)
        self._category_ids = {c['name']: c['id'] for c in data['categories']}
        self._image_ids = {image['id'] for image in data['images']}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the predictions of each sample.

        Args:
            data_batch: Not used.
            data_samples: ``img_id`` and ``pred_instances`` with ``bboxes`` (N, 4) x1, y1, x2, y2 in pixels
                of the original image, ``scores`` (N,) and ``labels`` (N,).
        """
        category_ids = [self._category_ids[name] for name in self._classes()]
        for sample in data_samples:
            image_id = sample['img_id']
            if image_id not in self._image_ids:
                raise InputError(f'{self.ann_file}: no image of id {image_id}; is it of the same split?')
            boxes, scores, labels = predicted_arrays(sample)
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
        notes = [unrun_images(len(found), len(self._image_ids))]
        if self.outfile_prefix is not None:
            write_json(f'{self.outfile_prefix}.bbox.json', detections)
            notes.append(f'detections: {self.outfile_prefix}.bbox.json')
        classes = self._classes()
        rows = evaluate_by_condition(self.truth, detections, classes)
        protocol = Protocol(
            METRIC,
            self.info.get('split', self.ann_file),
            len(self._image_ids),
            (self.dataset_meta or {}).get('label_modality') or self.info.get('label_modality', 'unknown'),
            classes,
        )
        print_log('\n'.join([str(protocol), *filter(None, notes), format_coco(rows)]), 'current')
        figures = {f'bbox_{name}': value for name, value in rows['all'].stats.items()}
        figures |= {f'{name}_precision': c.ap for name, c in rows['all'].classes.items()}
        for condition in rows.keys() - {'all'}:
            figures |= {f'bbox_{k}_{condition}': rows[condition].stats[k] for k in ('mAP', 'mAP_50')}
        return figures

    def _classes(self) -> tuple[str, ...]:
        classes = (self.dataset_meta or {}).get('classes') or tuple(self._category_ids)
        absent = [name for name in classes if name not in self._category_ids]
        if absent:
            raise InputError(
                f'{self.ann_file}: no category {", ".join(absent)}; it has {", ".join(self._category_ids)}'
            )
        return tuple(classes)
