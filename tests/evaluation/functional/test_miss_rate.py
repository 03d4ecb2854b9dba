"""Miss rates computed by hand, a rule at a time."""

import math
from dataclasses import replace

import numpy as np
import pytest
from evaluation.drawn import counts, evaluate, make_truth

from mmslg.errors import InputError
from mmslg.evaluation.functional import (
    PROTOCOLS,
    compute_miss_rates,
    frame_time,
    make_detections,
)

FAR_AWAY = (500, 300, 30, 60)


PERSON = (0, 100, 100, 30, 60, 0, 0)
HIT = (0, 100, 100, 30, 60, 0.9)


def test_average_by_hand():
    # Two persons in 20 images; one is found first, then a false positive: 0.05 per image.
    curve = evaluate([PERSON, (1, 200, 100, 30, 60, 0, 0)], [HIT, (5, *FAR_AWAY, 0.5)], num_images=20)['all']
    assert curve.fppi.tolist() == [0, 0.05] and curve.miss.tolist() == [0.5, 0.5]
    assert curve.miss_rate == pytest.approx(50)
    # The false positive first: nothing is found at 0.01, 0.0178 and 0.0316 per image.
    curve = evaluate([PERSON, (1, 200, 100, 30, 60, 0, 0)], [HIT, (5, *FAR_AWAY, 0.95)], num_images=20)['all']
    assert curve.fppi.tolist() == [0.05, 0.05] and curve.miss.tolist() == [1, 0.5]
    assert curve.miss_rate == pytest.approx(100 * 0.5 ** (6 / 9))


def test_perfect_detections_reach_the_lower_bound_and_none_reach_100():
    assert evaluate([PERSON], [HIT])['all'].miss_rate == pytest.approx(1e-8)
    assert evaluate([PERSON], [])['all'].miss_rate == pytest.approx(100)
    assert evaluate([PERSON], [], protocol='sejong')['all'].miss_rate == pytest.approx(100)
    for protocol in PROTOCOLS:
        assert math.isnan(evaluate([PERSON], [HIT], protocol=protocol)['night'].miss_rate)
        assert math.isnan(evaluate([], [HIT], protocol=protocol)['all'].miss_rate)


@pytest.mark.parametrize(('width', 'outcome'), [(60, (1, 0)), (61, (0, 1))])
def test_intersection_over_union_of_one_half_matches(width, outcome):
    assert counts(evaluate([PERSON], [(0, 100, 100, width, 60, 1)])['all']) == outcome


def test_a_person_is_found_once_by_the_surest_and_overlap_decides():
    assert counts(evaluate([PERSON], [HIT, (0, 100, 100, 30, 58, 0.8)])['all']) == (1, 1)
    pair = [PERSON, (0, 108, 100, 30, 60, 0, 0)]
    # The first detection lies nearer to the second person and leaves the first one free.
    assert counts(evaluate(pair, [(0, 106, 100, 30, 60, 0.9), (0, 97, 100, 30, 60, 0.8)])['all']) == (2, 0)
    # In the other order of scores the first person is taken, the second one still free.
    assert counts(evaluate(pair, [(0, 97, 100, 30, 60, 0.9), (0, 106, 100, 30, 60, 0.8)])['all']) == (2, 0)


def test_of_equal_overlaps_the_later_person_is_found():
    pair = [PERSON, (0, 112, 100, 30, 60, 0, 0)]
    between = (0, 106, 100, 30, 60, 0.9)
    assert counts(evaluate(pair, [between, (0, 100, 100, 30, 60, 0.8)])['all']) == (2, 0)
    assert counts(evaluate(pair, [between, (0, 112, 100, 30, 60, 0.8)])['all']) == (1, 1)


def test_an_ignored_region_absorbs_several_detections_by_their_own_area():
    people = (0, 200, 100, 100, 100, 0, 1)
    inside = [(0, 200 + 20 * i, 100, 20, 50, 0.5) for i in range(4)]
    assert counts(evaluate([PERSON, people], [HIT, *inside])['all']) == (1, 0)
    half, less = (0, 190, 100, 20, 50, 0.5), (0, 189, 100, 20, 50, 0.5)
    assert counts(evaluate([PERSON, people], [HIT, half])['all']) == (1, 0)
    assert counts(evaluate([PERSON, people], [HIT, less])['all']) == (1, 1)


def test_a_person_is_preferred_to_an_ignored_region():
    around = (0, 90, 90, 100, 100, 0, 1)
    assert counts(evaluate([PERSON, around], [(0, 100, 100, 30, 35, 0.9)])['all']) == (1, 0)
    # What is left over goes to the region instead of being a false positive.
    assert counts(evaluate([PERSON, around], [HIT, (0, 100, 100, 30, 58, 0.8)])['all']) == (1, 0)


@pytest.mark.parametrize(
    ('box', 'counted'),
    [
        ((5, 5, 30, 60), True),
        ((4.9, 5, 30, 60), False),
        ((5, 4.9, 30, 60), False),
        ((605, 447, 30, 60), True),
        ((605.1, 447, 30, 60), False),
        ((605, 447.1, 30, 60), False),
    ],
)
def test_persons_at_the_border_are_ignored(box, counted):
    curve = evaluate([PERSON, (0, *box, 0, 0)], [(0, *box, 0.9)])['all']
    assert curve.num_persons == 1 + counted
    assert counts(curve) == (int(counted), 0)


@pytest.mark.parametrize(
    ('setting', 'heights', 'levels'),
    [
        ('reasonable', (55, 500), (0, 1)),
        ('all', (20, 500), (0, 1, 2)),
        ('near', (115, 500), (0,)),
        ('medium', (45, 115), (0,)),
        ('far', (1, 45), (0,)),
        ('none', (1, 500), (0,)),
        ('partial', (1, 500), (1,)),
        ('heavy', (1, 500), (2,)),
    ],
)
def test_ranges_of_height_and_occlusion_with_their_ends(setting, heights, levels):
    low, high = heights
    for height, inside in ((low, True), (low - 0.5, False), (high, True), (high + 0.5, high == 500)):
        for level in (0, 1, 2):
            curve = evaluate([(0, 10, 5, 20, height, level, 0)], [], setting)['all']
            assert curve.num_persons == (inside and level in levels), (height, level)


def test_no_filter_of_the_detections_height():
    assert counts(evaluate([PERSON], [HIT, (0, 300, 300, 5, 10, 0.5)])['all']) == (1, 1)


def test_day_and_night_go_by_the_image_set():
    names = ['set06/V000/I00019', 'set08/V000/I00019', 'set09/V000/I00019']
    truth = [PERSON, (1, *PERSON[1:]), (2, *PERSON[1:])]
    curves = evaluate(truth, [HIT, (2, *FAR_AWAY, 0.5)], names=names)
    assert [curves[s].num_images for s in ('all', 'day', 'night')] == [3, 2, 1]
    assert curves['day'].miss_rate == pytest.approx(50)
    assert curves['night'].miss_rate == pytest.approx(100)
    assert curves['all'].miss_rate == pytest.approx(100 * 2 / 3)
    assert [frame_time(f'set{i:02d}/V000/I00000') for i in range(13)] == [
        *['day'] * 3,
        *['night'] * 3,
        *['day'] * 3,
        *['night'] * 3,
        '',
    ]


def test_sejong_drops_the_persons_of_images_without_detections():
    boxes = [PERSON, (1, 200, 100, 30, 60, 0, 0), (2, 200, 100, 30, 60, 0, 0)]
    found = [HIT, (1, *FAR_AWAY, 0.1)]
    assert evaluate(boxes, found, num_images=200)['all'].miss_rate == pytest.approx(100 * 2 / 3)
    sejong = evaluate(boxes, found, num_images=200, protocol='sejong')['all']
    assert sejong.num_persons == 2 and sejong.num_images == 200
    assert sejong.miss_rate == pytest.approx(50)


def test_sejong_takes_annotation_0_for_a_false_positive():
    boxes = [PERSON, (1, 200, 100, 30, 60, 0, 0)]
    truth = replace(make_truth(boxes, 200), first=np.array([True, False]))
    found = make_detections('drawn', np.array([HIT, (1, 200, 100, 30, 60, 0.8)], dtype=float))
    for protocol, outcome in (('matlab', (2, 0)), ('sejong', (1, 1))):
        assert counts(compute_miss_rates(truth, found, ['all'], protocol)['all']['all']) == outcome


def test_sejong_rounds_the_points():
    # 10 ** -1.75 = 0.017783 lies between 177 and 178 of 10000 images: at 0.0178 one more counts.
    assert 0.0178 > PROTOCOLS['matlab'].points[1] > 0.01778
    boxes = [(0, x, 100, 30, 60, 0, 0) for x in (20, 100, 180)]
    wrong = [(1 + i, *FAR_AWAY, 0.9) for i in range(178)]
    found = [(0, 20, 100, 30, 60, 0.95), *wrong, (0, 100, 100, 30, 60, 0.8)]
    found += [(300, *FAR_AWAY, 0.5)]
    names = [f'set06/V{i // 1000:03d}/I{i % 1000:05d}' for i in range(10000)]
    curve = evaluate(boxes, found, names=names)['all']
    assert np.searchsorted(curve.fppi, 0.0178, side='right') == 180  # the second person is reached
    assert curve.miss_rate == pytest.approx(100 / 3 * 2 ** (2 / 9))
    sejong = evaluate(boxes, found, names=names, protocol='sejong')['all']
    assert sejong.miss_rate == pytest.approx(100 / 3 * 2 ** (1 / 9))


def test_sejong_has_no_lower_bound():
    assert evaluate([PERSON], [HIT], protocol='sejong')['all'].miss_rate == 0


def test_sejong_reads_a_late_curve_at_its_end_and_counts_1000_detections():
    found = [(0, *FAR_AWAY, 0.9), (0, *FAR_AWAY, 0.8), (0, *FAR_AWAY, 0.7), (0, *PERSON[1:5], 0.6)]
    boxes = [PERSON, (0, 200, 100, 30, 60, 0, 0)]
    assert evaluate(boxes, found)['all'].miss_rate == pytest.approx(100)
    # One false positive lies at the last point, which alone is read where it belongs.
    sejong = evaluate(boxes, found, protocol='sejong')['all']
    assert sejong.miss_rate == pytest.approx(100 * 0.5 ** (8 / 9))
    crowded = [*[(0, *FAR_AWAY, 0.9)] * 1000, (*HIT[:5], 0.1)]
    assert counts(evaluate([PERSON], crowded)['all']) == (1, 1000)
    assert counts(evaluate([PERSON], crowded, protocol='sejong')['all']) == (0, 1000)


def test_equal_scores_follow_images_then_lines():
    boxes = [PERSON, (1, *PERSON[1:])]
    first, wrong, second = (0, *PERSON[1:5], 0.5), (0, *FAR_AWAY, 0.5), (1, *PERSON[1:5], 0.5)
    for found, miss in (
        ([first, wrong, second], [0.5, 0.5, 0]),
        ([second, first, wrong], [0.5, 0.5, 0]),
        ([wrong, first, second], [1, 0.5, 0]),
    ):
        assert evaluate(boxes, found, num_images=2)['all'].miss.tolist() == miss


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="no setting 'Reasonable'; there are reasonable, all, near"):
        evaluate([PERSON], [], 'Reasonable')
    with pytest.raises(InputError, match="no protocol 'coco'; there are matlab, sejong"):
        evaluate([PERSON], [], protocol='coco')
