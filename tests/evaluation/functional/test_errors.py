import numpy as np
import pytest

from mmslg.evaluation.functional.errors import KINDS, confusion_matrix, sort_errors


def sort(detections, truth, ious, ignored=()):
    """Detections as (score, label), truth as labels."""
    scores, labels = (np.array(part) for part in zip(*detections))
    mask = np.isin(np.arange(len(truth)), ignored)
    errors = sort_errors(scores, labels, np.array(truth, int), mask, np.array(ious, float))
    return [KINDS[kind] for kind in errors.kinds], errors


def test_every_kind_of_error():
    detections = [(0.5, 0), (0.9, 0), (0.8, 1), (0.7, 0), (0.6, 0)]
    truth = [0, 0, 1]
    ious = [
        [0.0, 0.0, 0.6],  # another class there: confused
        [0.7, 0.0, 0.0],
        [0.0, 0.0, 0.0],
        [0.9, 0.0, 0.0],  # the surer one has that box already
        [0.0, 0.2, 0.0],
    ]
    kinds, errors = sort(detections, truth, ious)
    assert kinds == ['confused', 'hit', 'background', 'duplicate', 'misplaced']
    assert errors.partners.tolist() == [2, 0, -1, -1, -1]
    assert errors.missed.tolist() == [False, True, False]
    counts = confusion_matrix([(errors, np.array([0, 0, 1, 0, 0]), np.array(truth))], 2)
    assert counts.tolist() == [[1, 0, 1], [1, 0, 0], [2, 1, 0]]


@pytest.mark.parametrize(
    ('iou', 'kind'), [(0.5, 'hit'), (0.499, 'misplaced'), (0.1, 'misplaced'), (0.09, 'background')]
)
def test_the_borders(iou, kind):
    assert sort([(0.9, 0)], [0], [[iou]])[0] == [kind]


def test_an_ignored_box_takes_detections_of_any_class_and_is_not_missed():
    kinds, errors = sort([(0.9, 0), (0.8, 1)], [0], [[0.6], [0.6]], ignored=[0])
    assert kinds == ['left out', 'left out'] and not errors.missed.any()
    assert not confusion_matrix([(errors, np.array([0, 1]), np.array([0]))], 2).any()


def test_a_counting_box_comes_before_an_ignored_one():
    assert sort([(0.9, 0)], [0, 0], [[0.5, 0.9]], ignored=[1])[0] == ['hit']


def test_images_without_detections_or_truth():
    empty = sort_errors(np.zeros(0), np.zeros(0, int), np.array([1]), np.array([False]), np.zeros((0, 1)))
    assert empty.missed.tolist() == [True]
    kinds, _ = sort([(0.9, 0)], [], np.zeros((1, 0)))
    assert kinds == ['background']
