"""Predictions of a runner as plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mmslg.errors import InputError


def to_array(value: Any) -> np.ndarray:
    """Turn a tensor of any kind, or the boxes of MMDetection, into float64."""
    value = torch.as_tensor(getattr(value, 'tensor', value))
    return value.detach().to('cpu', torch.float64).numpy()


def predicted_arrays(sample: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes ``(N, 4)`` or ``(N, 5)``, scores ``(N,)`` and labels ``(N,)`` of a sample.

    Raises:
        InputError: A box or score is not finite.
    """
    predicted = sample['pred_instances']
    boxes, scores, labels = (to_array(predicted[key]) for key in ('bboxes', 'scores', 'labels'))
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        name = sample.get('file_name') or sample.get('img_path') or sample.get('img_id')
        raise InputError(f'{name}: a predicted box or score is not finite; did the training diverge?')
    return boxes, scores, labels.astype(int)


def unrun_images(num_run: int, num_images: int) -> str:
    """Say that a figure counts images that were not run; empty if there are none."""
    if num_run >= num_images:
        return ''
    return (
        f'only {num_run} of {num_images} images were run; the others count as if nothing had been found there'
    )
