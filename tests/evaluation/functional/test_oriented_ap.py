"""AP of oriented boxes by hand: both modes, boxes that are taken or ignored, absent classes."""

import math

import numpy as np
import pytest

from mmslg.evaluation.functional import (
    ClassMatches,
    average_precision,
    evaluate_class,
    format_oriented,
    mean_over_present,
)


def matches(scores, ious, ignored=()):
    ious = np.array(ious, float).reshape(len(scores), -1)
    flags = np.zeros(ious.shape[1], bool)
    flags[list(ignored)] = True
    return ClassMatches(np.array(scores, float), ious, flags)


def test_both_modes_by_hand():
    # Three boxes; detections by score: hit, wrong, hit. Recall 1/3, 1/3, 2/3; precision 1, 1/2, 2/3.
    recall, precision = np.array([1, 1, 2]) / 3, np.array([1, 1 / 2, 2 / 3])
    # Recalls 0-0.3 see precision 1 (4 points), 0.4-0.6 see 2/3 (3), 0.7-1 see none (4).
    assert average_precision(recall, precision, '11points') == pytest.approx((4 * 1 + 3 * 2 / 3) / 11)
    assert average_precision(recall, precision, 'area') == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    # Two boxes; wrong, hit, hit: precision rises, and what counts at a recall is the best from there on.
    rising = np.array([0, 1, 2]) / 2, np.array([0, 1 / 2, 2 / 3])
    for mode in ('area', '11points'):
        assert average_precision(*rising, mode) == pytest.approx(2 / 3)
    assert average_precision(np.zeros(0), np.zeros(0), '11points') == 0


def test_a_box_is_taken_once_and_the_higher_score_has_it():
    image = matches([0.5, 0.9], [[0.9], [0.6]])
    figures = evaluate_class([image], (0.5, 0.75), 'area')
    assert figures.ap[0] == pytest.approx(1.0)  # the surer one hits, the other one comes behind all recall
    assert figures.ap[1] == pytest.approx(0.5)  # 0.6 is too little now: wrong, then a hit
    assert (figures.boxes, figures.detections) == (1, 2)


def test_only_the_box_of_most_overlap_counts():
    image = matches([0.9, 0.8], [[0.6, 0.7], [0.55, 0.8]])
    assert evaluate_class([image], (0.5,), 'area').ap[0] == pytest.approx(0.5)  # both want the second box


def test_ignored_boxes_neither_count_nor_hurt():
    image = matches([0.9, 0.8], [[0.9, 0.0], [0.0, 0.9]], ignored=[0])
    figures = evaluate_class([image], (0.5,), 'area')
    assert figures.boxes == 1 and figures.ap[0] == pytest.approx(1.0)


def test_over_images_scores_are_ranked_together():
    right, wrong = matches([0.6], [[0.9]]), matches([0.8], np.zeros((1, 0)))
    assert evaluate_class([right, wrong], (0.5,), 'area').ap[0] == pytest.approx(0.5)
    assert evaluate_class([matches([0.9], [[0.9]]), wrong], (0.5,), 'area').ap[0] == pytest.approx(1.0)


def test_absent_classes_are_left_out_of_the_mean_and_said():
    present = evaluate_class([matches([0.9], [[0.9]])], (0.5, 0.95))
    absent = evaluate_class([matches([0.9], np.zeros((1, 0)))], (0.5, 0.95))
    assert math.isnan(absent.ap[0])
    assert mean_over_present([present, absent], 0) == pytest.approx(1.0)
    assert mean_over_present([present, absent]) == pytest.approx(0.5)
    assert math.isnan(mean_over_present([absent]))
    text = format_oriented({'car': present, 'van': absent}, (0.5, 0.95))
    assert 'no ground truth of van: left out of the mean' in text and 'mean of 1' in text
