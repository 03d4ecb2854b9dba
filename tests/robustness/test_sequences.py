"""Which frames follow each other."""

import pytest

from mmslg.robustness.sequences import earlier_pairs

KAIST = [f'set06/V000/visible/I{number:05d}.jpg' for number in (19, 39, 59)]


def test_earlier_frames():
    assert earlier_pairs(KAIST, 1) == {KAIST[1]: KAIST[0], KAIST[2]: KAIST[1]}
    assert earlier_pairs(KAIST, 2) == {KAIST[2]: KAIST[0]}
    assert earlier_pairs(['x/a_10.png', 'x/a_9.png', 'y/a_11.png'], 1, 'numbers') == {
        'x/a_10.png': 'x/a_9.png'
    }
    assert earlier_pairs(['x/a_10.png', 'x/a_9.png'], 1) == {}


def test_a_number_that_leaps_begins_another_sequence():
    names = ['190998.jpg', '190999.jpg', '200001.jpg', '200002.jpg', '200007.jpg']
    expected = {'190999.jpg': '190998.jpg', '200002.jpg': '200001.jpg', '200007.jpg': '200002.jpg'}
    assert earlier_pairs(names[:-1], 1, 'numbers') == {k: v for k, v in expected.items() if k != '200007.jpg'}
    # The median step is 3, so one of 5 is none that leaps.
    assert earlier_pairs(names, 1, 'numbers') == expected
    assert earlier_pairs(names, 2, 'numbers') == {'200007.jpg': '200001.jpg'}
    assert earlier_pairs([*KAIST, 'set06/V000/visible/I00179.jpg'], 1).keys() == set(KAIST[1:])


@pytest.mark.parametrize('name', ['a_{}.jp2', 'v2/a_{}.jp2', 'a_{}_v.png', 'cam1.{}.jpg', 'frame_{}'])
def test_a_number_of_the_suffix_is_none_of_the_frame(name):
    early, late = (name.format(number) for number in ('001', '002'))
    assert earlier_pairs([late, early], 1, 'numbers') == {late: early}
