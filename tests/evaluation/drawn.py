"""Drawn ground truth and detections for the tests of miss rates and of COCO's AP."""

import numpy as np

from mmslg.evaluation.functional import GroundTruth, compute_miss_rates, frame_time, make_detections

CLASSES = ('person', 'car', 'bicycle')


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


def draw_split(num_images=40, seed=0):
    """Annotations of random boxes (crowds among them), and detections that hit some of them."""
    rng = np.random.default_rng(seed)
    images, annotations, detections = [], [], []
    for i in range(1, num_images + 1):
        images.append(
            dict(id=i, file_name=f'{i}.jpg', width=640, height=512, time=('day', 'night', None)[i % 3])
        )
        for _ in range(int(rng.integers(0, 7))):
            x, y, w, h = (rng.uniform(low, high) for low, high in ((0, 500), (0, 400), (8, 120), (8, 110)))
            kind = int(rng.integers(1, 4))
            annotations.append(
                dict(id=len(annotations) + 1, image_id=i, category_id=kind, bbox=[x, y, w, h], area=w * h,
                     iscrowd=int(rng.random() < 0.05))
            )  # fmt: skip
            if rng.random() < 0.8:
                shift = rng.normal(0, 0.1, 4) * (w, h, w, h)
                box = (np.array([x, y, w, h]) + shift).tolist()
                detections.append(dict(image_id=i, category_id=kind, bbox=box, score=float(rng.random())))
        for _ in range(5):
            box = [float(rng.uniform(0, 400)), float(rng.uniform(0, 400)), 50.0, 40.0]
            detections.append(
                dict(
                    image_id=i, category_id=int(rng.integers(1, 4)), bbox=box, score=float(rng.random() * 0.7)
                )
            )
    categories = [dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)]
    return dict(images=images, annotations=annotations, categories=categories), detections
