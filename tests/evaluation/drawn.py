"""Drawn ground truth and detections for the tests of miss rates."""

import numpy as np

from mmslg.evaluation.functional import GroundTruth, compute_miss_rates, frame_time, make_detections


def make_truth(boxes, num_images=1, names=None):
    """Ground truth of rows (image, x, y, w, h, occlusion, ignore)."""
    table = np.array(boxes, dtype=float).reshape(-1, 7)
    names = names or [f'set06/V000/I{19 + 20 * i:05d}' for i in range(num_images)]
    return GroundTruth(
        source='drawn',
        names=tuple(names),
        image_ids=tuple(range(len(names))),
        times=np.array([frame_time(name) for name in names], dtype='U5'),
        image=table[:, 0].astype(int),
        boxes=table[:, 1:5],
        occlusion=table[:, 5].astype(int),
        ignore=table[:, 6] > 0,
        first=np.zeros(len(table), dtype=bool),
    )


def evaluate(boxes, found, setting='reasonable', protocol='matlab', num_images=1, names=None):
    truth = make_truth(boxes, num_images, names)
    detections = make_detections('drawn', np.array(found, dtype=float).reshape(-1, 6))
    return compute_miss_rates(truth, detections, [setting], protocol)[setting]


def counts(curve):
    """Return (true positives, false positives) at the end of a curve."""
    if not len(curve.fppi):
        return 0, 0
    return round((1 - curve.miss[-1]) * curve.num_persons), round(curve.fppi[-1] * curve.num_images)
