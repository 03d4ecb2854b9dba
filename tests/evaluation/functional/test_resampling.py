"""Figures over resampled images, and intervals: by hand, and held to the evaluation of copied images."""

import math

import numpy as np
import pytest
from evaluation.drawn import CLASSES, draw_split

from mmslg.errors import InputError
from mmslg.evaluation.functional.coco_ap import evaluate_coco, load_truth
from mmslg.evaluation.functional.resampling import (
    Sample,
    compare,
    groups_of,
    match_images,
    sample,
    summarise,
)


def two_images(found_in=1):
    """Two images with a box each; one detection is right in one of them, one wrong in the other."""
    box, elsewhere = [10, 10, 20, 20], [60, 60, 20, 20]
    truth = dict(
        images=[dict(id=i, time=time) for i, time in ((1, 'day'), (2, 'night'))],
        annotations=[dict(id=i, image_id=i, category_id=1, bbox=box, area=400, iscrowd=0) for i in (1, 2)],
        categories=[dict(id=1, name='person')],
    )
    detections = [
        dict(image_id=found_in, category_id=1, bbox=box, score=0.9),
        dict(image_id=3 - found_in, category_id=1, bbox=elsewhere, score=0.8),
    ]
    return truth, detections


def matches(found_in=1):
    return match_images(*two_images(found_in), ['person'])


@pytest.mark.parametrize(
    ('weights', 'expected'),
    [(None, 51 / 101), ((1, 0), 1.0), ((0, 1), 0.0), ((2, 1), 67 / 101), ((1, 3), 26 / 101)],
)
def test_how_often_an_image_counts(weights, expected):
    """Half of the boxes, or 2/3, or 1/4, are found before anything wrong: the recall points up to there."""
    figures = matches().figures(None if weights is None else np.array(weights))
    assert figures == pytest.approx(dict(mAP=expected, mAP_50=expected, mAP_75=expected))


def test_nothing_to_be_found_is_no_figure_and_nothing_found_is_zero():
    truth, _ = two_images()
    none = match_images(truth, [], ['person'])
    assert none.figures()['mAP'] == 0
    assert math.isnan(none.figures(np.array([0, 0]))['mAP'])


@pytest.fixture(scope='module')
def random_split():
    return draw_split(12, seed=3)


def test_each_image_once_is_coco(random_split):
    truth, detections = random_split
    ours = match_images(truth, detections, CLASSES).figures()
    coco = evaluate_coco(load_truth(truth), detections, CLASSES).stats
    assert ours == pytest.approx({name: coco[name] for name in ours}, abs=1e-12)
    assert 0.05 < ours['mAP'] < 0.95


def test_weights_are_copies_of_images(random_split):
    truth, detections = random_split
    weights = np.array([0, 1, 2, 3] * 3)
    copied = dict(truth, images=[], annotations=[])
    copied_detections = []
    for image, times in zip(truth['images'], weights):
        for _ in range(times):
            new = len(copied['images']) + 1
            copied['images'].append(dict(image, id=new))
            own = [dict(a, image_id=new) for a in truth['annotations'] if a['image_id'] == image['id']]
            copied['annotations'] += own
            copied_detections += [dict(d, image_id=new) for d in detections if d['image_id'] == image['id']]
    ours = match_images(truth, detections, CLASSES).figures(weights)
    coco = evaluate_coco(load_truth(copied), copied_detections, CLASSES).stats
    assert ours == pytest.approx({name: coco[name] for name in ours}, abs=1e-12)


def test_mean_and_deviation():
    assert summarise([1.0, 2.0, 6.0]) == pytest.approx((3.0, math.sqrt(7)))
    assert summarise([0.5]) == (0.5, None)


def of_values(*values, resampled=(0.0, 0.0)):
    return Sample((1, 2), {'mAP': values, **dict.fromkeys(('mAP_50', 'mAP_75'), values)}, {
        name: np.array(resampled) for name in ('mAP', 'mAP_50', 'mAP_75')
    })  # fmt: skip


def test_the_interval_over_seeds_is_students():
    found = compare(of_values(0.4, 0.6, 0.8), of_values(0.3, 0.4, 0.5))['mAP']
    assert (found.mean, found.deviation) == pytest.approx((0.2, 0.1))
    # t of 2 degrees of freedom at 97.5 % is 4.30265
    reach = 4.30265 * 0.1 / math.sqrt(3)
    assert found.seeds == pytest.approx((0.2 - reach, 0.2 + reach), abs=1e-5)
    assert not found.clear  # the resamples do not differ
    one = compare(of_values(0.4, resampled=(0.3, 0.5)), of_values(0.1))['mAP']
    assert (one.deviation, one.seeds) == (None, None) and one.images == pytest.approx((0.305, 0.495))
    assert not one.clear  # whether other seeds say the same is not known
    two = compare(of_values(0.4, 0.4, resampled=(0.3, 0.5)), of_values(0.1, 0.1))['mAP']
    assert two.clear


def test_the_interval_over_images_is_paired():
    first, second = (sample([matches(found_in)] * 2, resamples=400) for found_in in (1, 2))
    # Two images drawn from two: the first twice, or the second, each in a quarter of all resamples.
    assert compare(first, second)['mAP'].images == (-1, 1)
    drawn = first.resampled['mAP'] - second.resampled['mAP']
    assert np.mean(drawn == 1) == pytest.approx(0.25, abs=0.06)
    assert np.mean(drawn == 0) == pytest.approx(0.5, abs=0.06)  # one of each: 51/101 in both
    same = compare(first, sample([matches(1)] * 2, resamples=400))['mAP']
    assert (same.mean, same.seeds, same.images) == (0, (0, 0), (0, 0))
    again = sample([matches(1)] * 2, resamples=400)
    assert np.array_equal(again.resampled['mAP'], first.resampled['mAP'])


def test_groups_as_the_annotations_say():
    truth, detections = two_images()
    groups = groups_of(truth, (1, 2))
    assert {name: list(weights) for name, weights in groups.items()} == {
        'time=day': [1, 0], 'time=night': [0, 1],
    }  # fmt: skip
    by_night = match_images(truth, detections, ['person']).restricted_to(groups['time=night'])
    assert by_night.image_ids == (2,) and by_night.figures()['mAP'] == 0
    drawn = sample([by_night], resamples=5)
    assert drawn.values['mAP'] == [0.0] and not drawn.resampled['mAP'].any()


def test_some_images_alone_are_those_that_count(random_split):
    truth, detections = random_split
    matches = match_images(truth, detections, CLASSES)
    only = np.array([0, 1, 1, 0] * 3)
    assert matches.restricted_to(only).figures() == matches.figures(only) != matches.figures()


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match='tested on the same images'):
        sample([])
    with pytest.raises(InputError, match='the same images, seeds and number of resamples'):
        compare(of_values(0.1), of_values(0.1, 0.2))
