"""Two sources in step."""

from streams.fakes import FakeSource, ticks

from mmslg.streams.frame_pairs import FramePairs


def paired(visible, infrared, **options):
    said = []
    pairs = FramePairs(visible, infrared, say=said.append, **options)
    return [(p.visible.number, p.infrared.number) for p in pairs], said, pairs


def test_equal_rates_pair_frame_by_frame():
    found, said, pairs = paired(FakeSource(ticks(5, 30), 30), FakeSource(ticks(5, 30, 0.004), 30))
    assert found == [(i, i) for i in range(5)] and said == []
    assert pairs.dropped == dict(visible=0, infrared=0) and pairs.rate == 30
    assert pairs.remarks() == [
        'infrared is +4.0 ms behind visible at the start, +4.0 ms at the end, at most 4.0 ms apart',
        'frames without a partner or dropped: 0 visible, 0 infrared',
    ]


def test_a_start_that_is_later_costs_the_first_frames():
    found, _, pairs = paired(FakeSource(ticks(6, 10), 10), FakeSource(ticks(4, 10, 0.21), 10))
    assert found == [(2, 0), (3, 1), (4, 2), (5, 3)] and pairs.dropped == dict(visible=2, infrared=0)


def test_the_nearest_of_the_faster_source_is_taken_and_the_rates_are_said():
    found, said, pairs = paired(FakeSource(ticks(13, 30), 30), FakeSource(ticks(5, 10, 0.03), 10))
    assert found == [(1, 0), (4, 1), (7, 2), (10, 3), (12, 4)]
    assert said[0] == (
        'visible has 30 frames a second, infrared 10: frames nearest in time are paired, the others dropped'
    )
    assert pairs.dropped['visible'] == 8 and pairs.rate == 10
    found, _, _ = paired(FakeSource(ticks(30, 30), 30), FakeSource(ticks(9, 10, 0.03), 10))
    assert found == [(1 + 3 * i, i) for i in range(9)]


def test_a_frame_without_a_partner_is_dropped():
    times = ticks(6, 10)
    found, _, pairs = paired(FakeSource(times, 10), FakeSource(times[:2] + times[4:], 10))
    assert found == [(0, 0), (1, 1), (4, 2), (5, 3)] and pairs.dropped == dict(visible=2, infrared=0)


def test_one_source_that_ends_five_frames_earlier_is_said():
    _, said, _ = paired(FakeSource(ticks(20, 30), 30), FakeSource(ticks(15, 30), 30))
    assert said == ['infrared ended first: visible has 5 more frames, which have no partner']
    _, said, _ = paired(FakeSource(ticks(15, 30), 30), FakeSource(ticks(16, 30), 30))
    assert said == ['visible ended first: infrared has 1 more frame, which have no partner']


def test_a_source_that_breaks_off_is_said():
    _, said, _ = paired(FakeSource(ticks(9, 30), 30), FakeSource(ticks(9, 30), 30, length=12))
    assert said == ['infrared ended 3 frames before its header says']


def test_without_times_the_order_counts_and_that_is_said():
    found, said, pairs = paired(FakeSource([None] * 3, 30, None), FakeSource([None] * 4, 25, None))
    assert found == [(0, 0), (1, 1), (2, 2)] and not pairs.by_time
    assert 'infrared 25: without time stamps they are paired in their order and fall out of step' in said[0]
    _, said, _ = paired(FakeSource(ticks(3, 30), 30), FakeSource([0, 1, 2], 1, 'number'))
    assert said == ['the sources have no time stamps in common: frames are paired in their order']


def test_equal_numbers_are_a_pair_and_other_numbers_go_in_order():
    numbers = [FakeSource(times, 1.0, 'number') for times in ([0, 1, 2, 3, 5], [0, 2, 3, 4, 5])]
    found, said, pairs = paired(*numbers)
    assert found == [(0, 0), (2, 1), (3, 2), (4, 4)] and said == []
    assert pairs.dropped == dict(visible=1, infrared=1) and pairs.rate is None
    numbers = [FakeSource(times, 1.0, 'number') for times in ([0, 1], [100, 101])]
    found, said, _ = paired(*numbers)
    assert found == [(0, 0), (1, 1)] and 'no number in common' in said[0]


def test_drift_is_said_once_and_told_at_the_end():
    slow = [i / 30 * 1.00015 for i in range(2000)]
    found, said, pairs = paired(FakeSource(ticks(2000, 30), 30), FakeSource(slow, 30))
    assert len(found) == 2000 and len(said) == 1
    assert said[0] == 'the sources drift: +8.3 ms since the start'
    assert '+0.1 ms behind visible at the start, +9.9 ms at the end' in pairs.remarks()[0]


def test_closing_closes_both():
    sources = FakeSource([]), FakeSource([])
    FramePairs(*sources).close()
    assert all(source.closed for source in sources)
