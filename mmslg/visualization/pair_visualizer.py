"""The visualizer of pairs, for runners and tools alike."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.structures import BaseDataElement, InstanceData
from mmengine.visualization import Visualizer

from mmslg.errors import InputError
from mmslg.registry import VISUALIZERS
from mmslg.utils.image_io import read_infrared, read_visible, resize_to, to_8bit
from mmslg.visualization.boxes import Boxes, to_polygons
from mmslg.visualization.pairs import draw_pair_boxes, write_picture


@VISUALIZERS.register_module()
class PairVisualizer(Visualizer):
    """Draw a pair side by side with its predictions and its ground truth.

    Images are read from the files that a sample names, cut as its ``crop`` says: boxes of predictions and of
    test pipelines are in pixels of those. Backends and arguments are those of ``mmengine.Visualizer``.
    """

    @property
    def dataset_meta(self) -> dict | None:
        """Metainfo of the dataset, on every process: each writes pictures of its own samples."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self._dataset_meta = dataset_meta

    def add_datasample(
        self,
        name: str,
        image: np.ndarray | None = None,
        data_sample: BaseDataElement | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        pred_score_thr: float = 0.3,
        out_file: str | os.PathLike | None = None,
        step: int = 0,
    ) -> None:
        """Draw one pair: into a window, into a file, or, where neither is asked for, for the backends.

        Args:
            name: Title of the window, and the picture's name for the backends.
            image: Not used: a single image is no pair.
            data_sample: Sample of a test pipeline with ``img_path``, ``ir_path``, ``crop``, ``file_name``.
            draw_gt: Draw the annotated boxes, if it has any.
            draw_pred: Draw the predicted ones, if it has any.
            show: Show a window.
            wait_time: Seconds that it is shown; 0 waits for a key.
            pred_score_thr: Lowest score that is drawn.
            out_file: File to write, ``.png`` or ``.jpg``.
            step: Step of the training, for the backends.

        Raises:
            InputError: An image cannot be read, or there is no screen to show it on.
        """
        classes = (self.dataset_meta or {}).get('classes', ())
        page = draw_sample(data_sample, classes, pred_score_thr, draw_gt=draw_gt, draw_pred=draw_pred)
        if show:
            _check_screen()
            self.show(page[..., ::-1], win_name=name, wait_time=wait_time)
        if out_file is not None:
            write_picture(out_file, page)
        if not show and out_file is None:
            self.add_image(name, np.ascontiguousarray(page[..., ::-1]), step)


def draw_sample(
    sample: BaseDataElement,
    classes: Sequence[str],
    score_thr: float = 0.0,
    title: str | None = None,
    draw_gt: bool = True,
    draw_pred: bool = True,
    images: tuple[Any, Any] | None = None,
    fused: bool = False,
) -> np.ndarray:
    """Draw the page of a test pipeline's sample, in pixels of the original images.

    Args:
        sample: Sample with the metainfo of ``mmslg.PackPairedInputs``.
        classes: Class names.
        score_thr: Lowest score that is drawn.
        title: Line above the pictures; None names the pair and counts its boxes.
        draw_gt: Draw ``gt_instances``, if there are any.
        draw_pred: Draw ``pred_instances``, if there are any.
        images: Both images, paths or arrays; None takes those that the metainfo names. An infrared one of
            another size is scaled.
        fused: Add a third picture, the mean of both.

    Raises:
        InputError: The metainfo does not name two images, or one cannot be read.
    """
    if images is None:
        lacks = [key for key in ('img_path', 'ir_path') if not sample.get(key)]
        if lacks:
            raise InputError(f'the sample has no {", ".join(lacks)}: pack it with mmslg.PackPairedInputs')
        images = sample.img_path, sample.ir_path
    truth = to_boxes(sample.gt_instances) if draw_gt and 'gt_instances' in sample else None
    found = None
    if draw_pred and 'pred_instances' in sample:
        found = sample.pred_instances
        found = to_boxes(found[found.scores >= score_thr])
    parts = [f'{len(found.labels)} found from a score of {score_thr:g}'] if found else []
    parts += [f'{len(truth.labels)} annotated'] if truth else []
    title = title or f'{sample.get("file_name") or sample.get("img_path") or "pair"}: {", ".join(parts)}'
    crop = sample.get('crop')
    visible = read_visible(images[0], crop)
    infrared = to_8bit(read_infrared(images[1], crop))
    if infrared.shape != visible.shape[:2]:
        infrared = resize_to(infrared, visible.shape)
    infrared = cv2.cvtColor(infrared, cv2.COLOR_GRAY2BGR)
    return draw_pair_boxes(visible, infrared, classes, title, truth, found, fused)


def to_boxes(instances: InstanceData) -> Boxes:
    """Return the boxes of annotated or predicted instances, upright or oriented, on any device."""
    bboxes = getattr(instances.bboxes, 'tensor', instances.bboxes)
    arrays = [bboxes, instances.labels, *([instances.scores] if 'scores' in instances else [])]
    bboxes, *others = (array.detach().cpu().float().numpy() for array in arrays)
    return Boxes(to_polygons(bboxes), others[0].astype(int), *others[1:])


def _check_screen() -> None:
    from matplotlib import backends, pyplot

    if pyplot.get_backend().lower() not in backends.backend_registry.list_builtin(
        backends.BackendFilter.INTERACTIVE
    ):
        raise InputError('there is no screen to show pictures on; write them with --show-dir')
