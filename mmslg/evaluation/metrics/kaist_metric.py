"""The log-average miss rate of KAIST, for runners."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmslg.annotations import read_annotations
from mmslg.errors import InputError
from mmslg.evaluation.functional import (
    PROTOCOLS,
    SETTINGS,
    SPLITS,
    Detections,
    Protocol,
    check_names,
    compute_miss_rates,
    describe_ground_truth,
    find_notes,
    format_table,
    frame_name,
    make_detections,
    read_ground_truth,
    round_rows,
    write_detections,
)
from mmslg.evaluation.functional.kaist import PERSON
from mmslg.evaluation.metrics.predictions import predicted_arrays, unrun_images
from mmslg.registry import METRICS
from mmslg.utils.io import read_json


@METRICS.register_module()
class KAISTMissRateMetric(BaseMetric):
    """Log-average miss rate (MR^-2) of persons on the KAIST test set, in percent.

    A prediction belongs to the image of its KAIST name (``setXX/VYYY/IZZZZZ``), however the folders are
    laid out; where the names are others, to the image of its ``file_name`` or else of its ``img_id``.
    Boxes and scores are rounded to the digits of the devkit's result files before they are evaluated,
    so that the files give the same figures.

    Args:
        ann_file: Ground truth: the published ``KAIST_annotation.json``, annotations in COCO form with
            ``occlusion`` and ``ignore``, or the folder of improved ``bbGt`` text files.
        protocol: ``matlab``, the devkit, or ``sejong``, see ``mmslg.evaluation.functional.miss_rate``.
        settings: Which persons count: ``reasonable``, ``all``, ``near``, ``medium``, ``far``, ``none``,
            ``partial``, ``heavy``.
        outfile_prefix: Path of the result files that the devkit reads, each with its own 1-based index:
            ``{prefix}-test-all.txt``, ``{prefix}-test-day.txt``, ``{prefix}-test-night.txt``. None
            writes none.
        collect_device: ``cpu`` or ``gpu``: where processes gather their results.
        prefix: Of the names of the figures.

    Raises:
        InputError: The ground truth, the protocol or a setting cannot be used.

    Example:
        >>> val_evaluator = dict(type='mmslg.KAISTMissRateMetric', ann_file='data/kaist/test.json')
    """

    default_prefix = 'kaist'

    def __init__(
        self,
        ann_file: str,
        protocol: str = 'matlab',
        settings: Sequence[str] = ('reasonable', 'all'),
        outfile_prefix: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        settings = (settings,) if isinstance(settings, str) else tuple(settings)
        check_names('protocol', [protocol], PROTOCOLS)
        check_names('setting', settings, SETTINGS)
        self.protocol = protocol
        self.settings = settings
        self.outfile_prefix = outfile_prefix
        self.truth = read_ground_truth(ann_file)
        self.split, self.label_modality = self.truth.source, 'unknown'  # the published forms do not say them
        if not os.path.isdir(ann_file) and 'file_name' in read_json(ann_file)['images'][0]:
            annotations = read_annotations(ann_file)
            self.split, self.label_modality = annotations.split, annotations.label_modality
        self._by_name = {name: i for i, name in enumerate(self.truth.names)}
        self._by_id = {identity: i for i, identity in enumerate(self.truth.image_ids)}

    def describe(self) -> Protocol:
        """Return what the figures stand for."""
        name = f'log-average miss rate in percent ({self.protocol}), IoU 0.50, {" and ".join(self.settings)}'
        return Protocol(name, self.split, len(self.truth.names), self.label_modality, (PERSON,))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the persons of each sample.

        Args:
            data_batch: Not used.
            data_samples: Predictions: ``pred_instances`` with ``bboxes`` (N, 4) x1, y1, x2, y2 in pixels
                of the original image, ``scores`` (N,) and ``labels`` (N,).
        """
        classes = self._classes()
        for sample in data_samples:
            boxes, scores, labels = predicted_arrays(sample, classes)
            size = boxes[:, 2:] - boxes[:, :2]
            rows = np.concatenate([boxes[:, :2], size, scores[:, None]], axis=1)[
                labels == classes.index(PERSON)
            ]
            self.results.append((self._find_image(sample), rows))

    def compute_metrics(self, results: list[tuple[int, np.ndarray]]) -> dict[str, float]:
        """Evaluate what all processes gathered.

        Returns:
            Miss rates in percent: ``reasonable_all``, ``reasonable_day``, ...; NaN where no person counts.
        """
        found = dict(results)  # by image: the last batch of a sampler may repeat some
        table = [np.column_stack([np.full(len(rows), image), rows]) for image, rows in sorted(found.items())]
        table = round_rows(np.concatenate([np.zeros((0, 6)), *table]))
        detections = make_detections('predictions', table)
        curves = compute_miss_rates(self.truth, detections, self.settings, self.protocol)
        notes = [*describe_ground_truth(self.truth, self.settings)]
        notes += find_notes(detections, self.truth, self.protocol)
        notes += filter(None, [unrun_images(len(found), len(self.truth.names))])
        if self.outfile_prefix is not None:
            notes.append(f'result files: {", ".join(self._write(detections))}')
        lines = [str(self.describe()), *notes, format_table({'predictions': curves}, self.protocol)]
        print_log('\n'.join(lines), 'current')
        return {
            f'{setting}_{split}': curves[setting][split].miss_rate
            for setting in self.settings
            for split in SPLITS
        }

    def _write(self, detections: Detections) -> list[str]:
        """Write a result file for each split that has images; return their names."""
        files = []
        for split in SPLITS:
            images = np.ones(len(self.truth.names), bool) if split == 'all' else self.truth.times == split
            if images.any():
                files.append(f'{self.outfile_prefix}-test-{split}.txt')
                write_detections(Path(files[-1]), detections, images)
        return files

    def _classes(self) -> tuple[str, ...]:
        classes = (self.dataset_meta or {}).get('classes', (PERSON,))
        classes = (classes,) if isinstance(classes, str) else tuple(classes)
        if PERSON not in classes:
            raise InputError(
                f'KAISTMissRateMetric counts the class {PERSON}; the dataset has {", ".join(classes)}'
            )
        return classes

    def _find_image(self, sample: dict) -> int:
        """Return the image of the ground truth that a sample is."""
        names = [str(sample[key]) for key in ('file_name', 'img_path') if sample.get(key)]
        keys = [key for key in map(frame_name, names) if key]
        for name in [*keys, *names]:
            if name in self._by_name:
                return self._by_name[name]
        identity = sample.get('img_id')
        if not keys and identity in self._by_id:
            return self._by_id[identity]
        name = (keys or names or [f'img_id {identity}'])[0]
        raise InputError(
            f'{self.truth.source}: the ground truth has no image {name}; is it of the same split?'
        )
