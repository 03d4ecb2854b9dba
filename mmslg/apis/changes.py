"""What changed between two sets of detections in one pair."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.structures import InstanceData
from torchvision.ops import box_iou

from mmslg.visualization.pair_visualizer import to_boxes

MATCH_IOU = 0.5


def compare(own: InstanceData, other: InstanceData, score_thr: float) -> dict:
    """Count what another way to detect changed.

    A detection has gone, or come, if no detection of its class overlaps it with an IoU of 0.5 or more
    among those of at least ``score_thr`` in the other set.

    Args:
        own: Detections in the pair, upright or oriented, on the CPU.
        other: Those to compare them with.
        score_thr: Lowest score that counts.

    Returns:
        ``detections`` of ``own``, how many have ``gone``, how many have ``come``, and ``score_change``, the
        mean change of the others' scores.
    """
    kept, new = own[own.scores >= score_thr], other[other.scores >= score_thr]
    overlap = box_iou(_corners(kept), _corners(new))
    overlap[kept.labels[:, None] != new.labels[None]] = 0
    same = overlap >= MATCH_IOU
    again = same.any(1)
    partners = overlap[again].argmax(1) if len(new) else again.nonzero().flatten()
    change = (kept.scores[again] - new.scores[partners]).abs()
    return dict(
        detections=len(kept),
        gone=int((~again).sum()),
        come=int((~same.any(0)).sum()),
        score_change=float(change.mean()) if len(change) else 0.0,
    )


def _corners(found: InstanceData) -> torch.Tensor:
    """Return upright boxes around detections of any kind, (N, 4)."""
    polygons = to_boxes(found).polygons
    return torch.from_numpy(np.concatenate([polygons.min(1), polygons.max(1)], 1)).float()
