"""What all metrics ask of a runner and of the annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mmslg.annotations import Annotations, check_classes
from mmslg.errors import InputError
from mmslg.evaluation.functional import Protocol


def to_array(value: Any) -> np.ndarray:
    """Turn a tensor of any kind, or the boxes of MMDetection, into float64."""
    value = torch.as_tensor(getattr(value, 'tensor', value))
    return value.detach().to('cpu', torch.float64).numpy()


def predicted_arrays(sample: dict, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes ``(N, 4)`` or ``(N, 5)``, scores ``(N,)`` and labels ``(N,)`` of a sample.

    Raises:
        InputError: A box or score is not finite, or a label is of none of the classes.
    """
    predicted = sample['pred_instances']
    boxes, scores, labels = (to_array(predicted[key]) for key in ('bboxes', 'scores', 'labels'))
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        name = sample.get('file_name') or sample.get('img_path') or sample.get('img_id')
        raise InputError(f'{name}: a predicted box or score is not finite; did the training diverge?')
    labels = labels.astype(int)
    if labels.size and not 0 <= labels.min() <= labels.max() < len(classes):
        raise InputError(
            f'a prediction has label {labels.max()}, and there are {len(classes)} classes, '
            f'{", ".join(classes)}; set num_classes={len(classes)} in the head'
        )
    return boxes, scores, labels


def check_image(sample: Mapping[str, Any], image_ids: set[int], ann_file: str) -> None:
    """See that a sample is of an image of the annotations.

    Raises:
        InputError: It is not.
    """
    if sample['img_id'] not in image_ids:
        raise InputError(f'{ann_file}: no image of id {sample["img_id"]}; is it of the same split?')


def unrun_images(num_run: int, num_images: int) -> str:
    """Say that a figure counts images that were not run; empty if there are none."""
    if num_run >= num_images:
        return ''
    return (
        f'only {num_run} of {num_images} images were run; the others count as if nothing had been found there'
    )


def classes_of(meta: Mapping[str, Any] | None, annotations: Annotations) -> tuple[str, ...]:
    """Return the classes of a dataset in the order of its labels, all of the annotations' where it has none.

    Raises:
        InputError: The annotations lack one, or have another order.
    """
    classes = (meta or {}).get('classes') or annotations.classes
    classes = (classes,) if isinstance(classes, str) else tuple(classes)
    check_classes(annotations, classes)
    return classes


def protocol_of(metric: str, annotations: Annotations, classes: Sequence[str]) -> Protocol:
    """Return the protocol of figures over an annotation file."""
    return Protocol(
        metric, annotations.split, len(annotations.pairs), annotations.label_modality, tuple(classes)
    )
