"""Identities of detections over a stream, by ByteTrack."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.structures import InstanceData

from mmslg.errors import InputError
from mmslg.visualization.pair_visualizer import to_boxes

LOW_SCORE = 0.1
"""Detections from here on may continue a track; ByteTrack's own value."""


class Tracker:
    """Give detections the identity of their track.

    ByteTrack (arXiv:2110.06864) of the package ``trackers``: detections from ``score_thr`` start and continue
    tracks, weaker ones continue them alone, and motion carries a track over an occlusion. Oriented boxes are
    tracked by the upright box around them. Classes are not looked at.

    Args:
        score_thr: Lowest score that starts a track.
        patience: How long a track outlives its last detection, in seconds, or in thirtieths of pairs where
            ``update`` gets no times.

    Raises:
        InputError: The package is missing.
    """

    def __init__(self, score_thr: float = 0.3, patience: float = 2.0) -> None:
        try:
            from trackers import ByteTrackTracker
        except ImportError as error:
            raise InputError(
                f'tracking needs the package trackers ({error}): pip install -r requirements/inference.txt'
            ) from None
        self._lowest = min(LOW_SCORE, score_thr)
        self._tracker = ByteTrackTracker(
            lost_track_buffer=round(30 * patience),
            track_activation_threshold=score_thr,
            high_conf_det_threshold=score_thr,
            minimum_consecutive_frames=1,
        )

    def update(self, instances: InstanceData, time: float | None = None) -> InstanceData:
        """Return the detections of the next pair with ``track_ids`` ``(N,)``, -1 where there is no track.

        Args:
            instances: All detections, in pixels; those below :data:`LOW_SCORE` are left out, or below
                ``score_thr`` where that is lower.
            time: Seconds, if known; pairs then need not be evenly spaced.
        """
        from supervision import Detections

        instances = instances[instances.scores >= self._lowest]
        boxes = to_boxes(instances)
        detections = Detections(
            xyxy=np.concatenate([boxes.polygons.min(1), boxes.polygons.max(1)], 1).astype(np.float32),
            confidence=boxes.scores,
            class_id=boxes.labels,
            data={'row': np.arange(len(boxes.labels))},
        )
        tracked = self._tracker.update(detections, timestamp=time)
        ids = np.full(len(boxes.labels), -1)
        if len(tracked):
            ids[tracked.data['row']] = tracked.tracker_id
        instances.track_ids = torch.from_numpy(ids).to(instances.scores.device)
        return instances
