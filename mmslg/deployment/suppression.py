"""Non-maximum suppression that every exporter understands, with the arithmetic of mmcv's ``batched_nms``."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import nms

PARKED = 1.0
"""Side in pixels of the box that stands for every candidate that is none."""


@torch.library.custom_op('mmslg::keep_best', mutates_args=())
def keep_best(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Tell which boxes of each image survive; ONNX has a node for it, see ``onnx_file.py``.

    Args:
        boxes: Boxes ``(B, N, 4)`` as x1, y1, x2, y2.
        scores: Scores ``(B, N)``.
        iou_threshold: A box that overlaps a better one by more is dropped.

    Returns:
        ``(B, N)``, bool.
    """
    kept = torch.zeros_like(scores, dtype=torch.bool)
    for image in range(len(boxes)):
        kept[image, nms(boxes[image], scores[image], iou_threshold)] = True
    return kept


@keep_best.register_fake
def _(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


def keep_best_torch(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """As :func:`keep_best` in operators of torchvision alone, the batch at once.

    Images are laid side by side, in float64, since coordinates grow with the batch.
    """
    wide = boxes.double()
    step = wide.amax() - wide.amin() + 1
    shift = torch.arange(boxes.shape[0], device=boxes.device, dtype=wide.dtype) * step
    wide = wide + shift[:, None, None]
    survivors = nms(wide.flatten(0, 1), scores.flatten().double(), iou_threshold)
    kept = torch.zeros_like(scores, dtype=torch.bool).flatten()
    return kept.index_fill(0, survivors, True).view_as(scores)


def spread_by_label(boxes: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Move boxes of different classes apart, as mmcv's ``batched_nms`` does, and park what is no candidate.

    Args:
        boxes: Boxes ``(B, N, 4)``, coordinates from 0.
        labels: Classes ``(B, N)``.
        valid: Candidates ``(B, N)``, bool.
    """
    largest = torch.where(valid.unsqueeze(2), boxes, 0).amax((1, 2), keepdim=True)
    spread = boxes + labels.unsqueeze(2).to(boxes.dtype) * (largest + 1)
    # All of them at one place: the first suppresses the others at once, and is no candidate itself.
    parked = torch.tensor([-2.0, -2.0, -2.0 + PARKED, -2.0 + PARKED], dtype=boxes.dtype, device=boxes.device)
    return torch.where(valid.unsqueeze(2), spread, parked)
