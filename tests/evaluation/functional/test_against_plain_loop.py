"""The vectorised miss rate against the rules written out as loops."""

import math
from dataclasses import replace

import numpy as np
import pytest
from evaluation.drawn import make_truth

from mmslg.evaluation.functional import PROTOCOLS, SETTINGS, compute_miss_rates, make_detections


def plain_loop(truth, table, setting, protocol):
    """The rules once more, box by box; returns the miss rate over all images."""
    rules, (low, high), levels = PROTOCOLS[protocol], *SETTINGS[setting]
    results, persons = [], 0
    for image in range(len(truth.names)):
        boxes = []
        for i in np.flatnonzero(truth.image == image):
            x, y, w, h = truth.boxes[i]
            good = low <= h <= high and truth.occlusion[i] in levels and not truth.ignore[i]
            good = good and x >= 5 and y >= 5 and x + w <= 635 and y + h <= 507
            boxes.append([x, y, w, h, not good, truth.first[i], False])
        found = sorted((row for row in table if row[0] == image), key=lambda row: -row[5])
        if found or not rules.drops_images:
            persons += sum(not box[4] for box in boxes)
        for _, x, y, w, h, score in found:
            best, chosen = 0.5, None
            for box in [b for b in boxes if not b[4]] + [b for b in boxes if b[4]]:
                if box[6] or (box[4] and chosen is not None and not chosen[4]):
                    continue
                iw = min(x + w, box[0] + box[2]) - max(x, box[0])
                ih = min(y + h, box[1] + box[3]) - max(y, box[1])
                common = max(iw, 0) * max(ih, 0)
                overlap = common / (w * h if box[4] else w * h + box[2] * box[3] - common)
                if overlap >= best:
                    best, chosen = overlap, box
            if chosen is None:
                results.append((score, False))
            elif not chosen[4]:
                chosen[6] = True
                results.append((score, not (rules.loses_first and chosen[5])))
    results.sort(key=lambda r: -r[0])
    values = []
    for point in rules.points:
        hits = wrong = reached = 0
        for _, hit in results:
            wrong += not hit
            if wrong / len(truth.names) > point:
                break
            hits += hit
            reached += 1
        if not reached and rules.wraps:
            hits = sum(hit for _, hit in results)
        values.append(max(rules.floor, 1 - hits / persons))
    return 100 * math.exp(sum(math.log(v) for v in values) / 9) if min(values) > 0 else 0


@pytest.mark.parametrize('protocol', PROTOCOLS)
@pytest.mark.parametrize('seed', range(6))
def test_equals_a_plain_loop_on_crowded_scenes(seed, protocol):
    rng = np.random.default_rng(seed)
    boxes, found = [], []
    for image in range(12):
        for _ in range(rng.integers(0, 9)):
            x, y, w, h = rng.integers(0, 90), rng.integers(0, 60), rng.integers(10, 40), rng.integers(15, 130)
            boxes.append((image, x, y, w, h, rng.integers(0, 3), rng.random() < 0.2))
            for _ in range(rng.integers(0, 4) * (image % 4 > 0)):
                shift = rng.integers(-6, 7, 4) * (rng.random() < 0.8)
                found.append((image, *(np.array([x, y, w, h]) + shift), rng.integers(0, 12) / 4 - 1))
    found = [found[i] for i in rng.permutation(len(found))]
    truth = make_truth(boxes, 12)
    truth = replace(truth, first=np.arange(len(boxes)) == int(np.argmax(truth.image > 0)))
    detections = make_detections('drawn', np.array(found, dtype=float))
    curves = compute_miss_rates(truth, detections, SETTINGS, protocol)
    for setting in ('reasonable', 'all', 'none', 'medium'):
        expected = plain_loop(truth, found, setting, protocol)
        assert curves[setting]['all'].miss_rate == pytest.approx(expected, rel=1e-9), setting
