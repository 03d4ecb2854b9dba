"""Detections in supervision's form."""

import sys

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmslg.apis.supervision import to_supervision
from mmslg.errors import InputError

CLASSES = ('person', 'car')


def sample(boxes):
    found = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(len(boxes), -1 if boxes else 4),
        scores=torch.linspace(0.9, 0.3, len(boxes)),
        labels=torch.arange(len(boxes)) % 2,
    )
    return DetDataSample(pred_instances=found)


def test_upright_boxes():
    pytest.importorskip('supervision')
    found = to_supervision(sample([[1, 2, 11, 22], [5, 5, 9, 30.5]]), CLASSES)
    assert found.xyxy.tolist() == [[1, 2, 11, 22], [5, 5, 9, 30.5]]
    assert found.confidence.tolist() == pytest.approx([0.9, 0.3])
    assert found.class_id.tolist() == [0, 1] and found.data['class_name'].tolist() == ['person', 'car']
    assert 'xyxyxyxy' not in found.data and len(found[found.confidence > 0.5]) == 1
    assert len(to_supervision(sample([]), CLASSES)) == 0


def test_oriented_boxes_keep_their_corners():
    supervision = pytest.importorskip('supervision')
    found = to_supervision(sample([[50, 40, 20, 10, np.pi / 2]]))
    assert found.xyxy[0].tolist() == pytest.approx([45, 30, 55, 50], abs=1e-4)
    corners = found.data['xyxyxyxy'][0]
    assert sorted(map(tuple, corners.round(3).tolist())) == [(45, 30), (45, 50), (55, 30), (55, 50)]
    picture = np.zeros((80, 100, 3), np.uint8)
    assert supervision.OrientedBoxAnnotator().annotate(picture.copy(), found).any()


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(InputError, match=r'pip install -r requirements/inference\.txt'):
        to_supervision(sample([[1, 2, 3, 4]]))
