import numpy as np
import pytest

from mmslg.datasets.corruptions import geometry

IMAGE = np.arange(1, 13, dtype=np.uint8).reshape(3, 4, 1)


class Choosing:
    def __init__(self, choice):
        self.choice = choice

    def integers(self, limit):
        assert self.choice < limit
        return self.choice


@pytest.mark.parametrize(
    ('direction', 'expected', 'facts'),
    [
        (0, [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11]], dict(dx=1, dy=0, overlap=0.75)),
        (1, [[2, 3, 4, 0], [6, 7, 8, 0], [10, 11, 12, 0]], dict(dx=-1, dy=0, overlap=0.75)),
        (2, [[0, 0, 0, 0], [1, 2, 3, 4], [5, 6, 7, 8]], dict(dx=0, dy=1, overlap=0.6667)),
        (3, [[5, 6, 7, 8], [9, 10, 11, 12], [0, 0, 0, 0]], dict(dx=0, dy=-1, overlap=0.6667)),
    ],
)
def test_shift(direction, expected, facts):
    changed, drawn = geometry.shift(IMAGE, 1, Choosing(direction))
    assert changed[..., 0].tolist() == expected and drawn == facts


def test_a_shift_beyond_the_image_leaves_nothing():
    changed, drawn = geometry.shift(IMAGE, 4, Choosing(0))
    assert not changed.any() and drawn['overlap'] == 0


@pytest.mark.parametrize(('choice', 'turns'), [(1, 1), (0, -1)])
def test_a_quarter_turn(choice, turns):
    image = np.arange(1, 10, dtype=np.uint8).reshape(3, 3, 1)
    changed, drawn = geometry.rotate(image, 90, Choosing(choice))
    assert np.array_equal(changed, np.rot90(image, turns))
    assert drawn == {'degrees': 90 * turns, 'overlap': 1.0}


def test_a_small_turn_uncovers_the_corners():
    changed, drawn = geometry.rotate(np.full((64, 64, 3), 200, np.uint8), 15, Choosing(1))
    assert not changed[0, 0].any() and (changed[32, 32] == 200).all()
    assert drawn['overlap'] == pytest.approx(float((changed[..., 0] > 100).mean()), abs=0.02)


def test_scale_enlarges_or_shrinks_about_the_centre():
    image = np.zeros((40, 40, 1), np.uint8)
    image[10:30, 10:30] = 200
    larger, drawn = geometry.scale(image, 2.0, Choosing(1))
    assert (larger[1:39, 1:39] > 100).all() and drawn == {'factor': 2.0, 'overlap': 1.0}
    smaller, drawn = geometry.scale(np.full((40, 40, 1), 200, np.uint8), 2.0, Choosing(0))
    assert drawn['factor'] == 0.5 and drawn['overlap'] == pytest.approx(0.25, abs=0.03)
    assert (smaller[11:29, 11:29] == 200).all() and not smaller[:8].any() and not smaller[:, 32:].any()
