"""Identities over a drawn clip."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from streams.fakes import detections

from mmslg.streams.tracking import Tracker

pytest.importorskip('trackers')


def clip(frames=40, hidden=range(15, 23), weak=range(10, 15)):
    """A walker crosses from the left behind a pole; a car comes the other way below. Yields what is found."""
    for i in range(frames):
        walker, car = [10 + 4 * i, 20, 30 + 4 * i, 70], [300 - 6 * i, 90, 360 - 6 * i, 130]
        boxes, scores = [car], [0.8]
        if i not in hidden:
            boxes, scores = [walker, car], [0.2 if i in weak else 0.9, 0.8]
        yield boxes, scores


@pytest.mark.parametrize('rate', [10, None])
def test_ids_are_kept_over_an_occlusion(rate):
    tracker = Tracker(score_thr=0.3, patience=1.0)
    seen = {'walker': [], 'car': []}
    for i, (boxes, scores) in enumerate(clip()):
        found = tracker.update(detections(boxes, scores), None if rate is None else i / rate)
        assert found.bboxes.tolist() == boxes and len(found.track_ids) == len(boxes)
        names = ['walker', 'car'][-len(boxes) :]
        for name, number in zip(names, found.track_ids.tolist()):
            seen[name].append(number)
    assert len(seen['walker']) == 32 and len(seen['car']) == 40
    walker, car = (set(numbers[1:]) for numbers in seen.values())  # none in the first frame
    assert len(walker) == len(car) == 1 and walker != car and -1 not in walker | car


def test_one_that_stays_away_longer_comes_back_as_another():
    tracker = Tracker(patience=0.5)
    ids = []
    for i in [*range(6), *range(26, 32)]:
        ids += tracker.update(detections([[10, 20, 30, 70]]), i / 10).track_ids.tolist()
    assert len({number for number in ids if number >= 0}) == 2


def test_weak_detections_start_no_track():
    tracker = Tracker(score_thr=0.3)
    for i in range(5):
        assert tracker.update(detections([[10, 20, 30, 70]], [0.2]), i / 10).track_ids.tolist() == [-1]


def test_nothing_found_and_oriented_boxes():
    tracker = Tracker()
    assert tracker.update(detections([]), 0.0).track_ids.shape == (0,)
    for i in range(3):
        boxes = torch.tensor([[50.0 + i, 40, 30, 10, 0.5], [150.0, 40, 30, 10, 1.0]])
        found = InstanceData(bboxes=boxes, scores=torch.tensor([0.5, 0.9]), labels=torch.zeros(2).long())
        ids = tracker.update(found, 0.1 + i / 10).track_ids.tolist()
    assert len(np.unique(ids)) == 2 and -1 not in ids
