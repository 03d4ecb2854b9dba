"""Detections in the form of the package supervision, whose tools count, track, slice and annotate them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from mmdet.structures import DetDataSample

from mmslg.errors import InputError
from mmslg.visualization.pair_visualizer import to_boxes

if TYPE_CHECKING:
    from supervision import Detections


class PairSample(DetDataSample):
    """MMDetection's data sample, which turns itself into the form of supervision."""

    @classmethod
    def of(cls, sample: DetDataSample, classes: Sequence[str]) -> PairSample:
        """Return a data sample with the same content and the names of the classes in ``classes``."""
        own = cls()
        own.update(sample)
        own.set_metainfo(dict(classes=tuple(classes)))
        return own

    def to_supervision(self) -> Detections:
        """Return the predictions with their class names, see :func:`to_supervision`."""
        return to_supervision(self, self.classes)


def to_supervision(sample: DetDataSample, classes: Sequence[str] = ()) -> Detections:
    """Turn the predictions of a data sample into ``supervision.Detections``.

    Oriented boxes keep their four corners as ``data['xyxyxyxy']``, which supervision's oriented annotators
    draw; ``xyxy`` is the upright box around them.

    Args:
        sample: With ``pred_instances``.
        classes: Class names, which become ``data['class_name']``; empty gives none.

    Raises:
        InputError: The package is missing.

    Example:
        >>> found = inferencer(('visible.jpg', 'infrared.jpg'))['predictions'][0]
        >>> found.to_supervision().data['class_name']
        array(['person', 'car'], dtype='<U6')
    """
    try:
        from supervision import Detections
        from supervision.config import CLASS_NAME_DATA_FIELD, ORIENTED_BOX_COORDINATES
    except ImportError as error:
        raise InputError(
            f'detections in this form need the package supervision ({error}): '
            'pip install -r requirements/inference.txt'
        ) from None
    boxes = to_boxes(sample.pred_instances)
    polygons = boxes.polygons.astype(np.float32)
    data = {CLASS_NAME_DATA_FIELD: np.array([classes[i] for i in boxes.labels], str)} if classes else {}
    if sample.pred_instances.bboxes.shape[-1] != 4:
        data[ORIENTED_BOX_COORDINATES] = polygons
    return Detections(
        xyxy=np.concatenate([polygons.min(1), polygons.max(1)], 1),
        confidence=boxes.scores,
        class_id=boxes.labels,
        data=data,
    )
