"""What changed between two sets of detections in one pair."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.structures import InstanceData
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou

from mmslg.visualization.pair_visualizer import to_boxes

MATCH_IOU = 0.5


def compare(own: InstanceData, other: InstanceData, score_thr: float) -> dict:
    """Count what another way to detect changed.

    Detections of at least ``score_thr`` in both sets are partners if they are of one class and overlap with
    an IoU of 0.5 or more. Each has one partner at most, and as many as can have one. Those of ``own`` without
    have gone, those of ``other`` have come.

    Args:
        own: Detections in the pair, upright or oriented, on the CPU.
        other: Those to compare them with.
        score_thr: Lowest score that counts.

    Returns:
        ``detections`` of ``own``, how many have ``gone``, how many have ``come``, and ``score_change``, the
        mean change of the scores of partners.
    """
    kept, new = own[own.scores >= score_thr], other[other.scores >= score_thr]
    overlap = box_iou(_corners(kept), _corners(new))
    overlap[kept.labels[:, None] != new.labels[None]] = 0
    same = overlap >= MATCH_IOU
    # One more match weighs more than all overlaps together.
    rows, columns = linear_sum_assignment((same * (overlap + len(kept))).numpy(), maximize=True)
    matched = same[rows, columns].numpy()
    rows, columns = rows[matched], columns[matched]
    change = (kept.scores[rows] - new.scores[columns]).abs()
    return dict(
        detections=len(kept),
        gone=len(kept) - len(rows),
        come=len(new) - len(rows),
        score_change=float(change.mean()) if len(change) else 0.0,
    )


def _corners(found: InstanceData) -> torch.Tensor:
    """Return upright boxes around detections of any kind, (N, 4)."""
    polygons = to_boxes(found).polygons
    return torch.from_numpy(np.concatenate([polygons.min(1), polygons.max(1)], 1)).float()
