"""Hand-computed values; a stub draws what is given to it."""

import numpy as np
import pytest

from mmslg.datasets.corruptions import images


class Drawn:
    """In the place of a generator: returns the given values, one after another."""

    def __init__(self, *values):
        self.values = list(values)

    def __getattr__(self, name):
        return lambda *args, **kwargs: np.asarray(self.values.pop(0))


def row(*values):
    """An infrared image of one row."""
    return np.array(values, np.uint8).reshape(1, -1, 1)


def test_saturation_multiplies_and_clips():
    changed, facts = images.saturation(row(100, 170, 200, 3), 1.5, None)
    assert changed.ravel().tolist() == [150, 255, 255, 4] and facts == {'saturated': 0.5}


def test_stripes_are_one_offset_a_column():
    image = np.array([[100, 100, 250], [0, 3, 4]], np.uint8)[..., None]
    changed, _ = images.stripes(image, 8, Drawn([-5.4, 0, 10]))
    assert changed[..., 0].tolist() == [[95, 100, 255], [0, 3, 14]]


def test_dead_pixels_are_black_or_white_where_the_draw_is_below_the_fraction():
    changed, facts = images.dead_pixels(row(7, 8, 9), 0.02, Drawn([[0.01, 0.02, 0.019]], [[1, 1, 0]]))
    assert changed.ravel().tolist() == [255, 8, 0] and facts == {'dead': 2}


def test_gain_drift_multiplies_by_one_field_and_adds_another():
    # (1 + 0.5 * 1) * 100 + 0.25 * 255 * -1 = 86.25
    changed, _ = images.gain_drift(row(100, 0), 0.5, Drawn(np.ones((4, 5)), -np.ones((4, 5))))
    assert changed.ravel().tolist() == [86, 0]


def test_a_smooth_field_is_smooth_and_bounded():
    field = images.smooth_field((64, 80), np.random.default_rng(0))
    assert field.shape == (64, 80) and np.abs(field).max() <= 1
    assert np.abs(np.diff(field, axis=0)).max() < 0.2 and field.std() > 0.2


def test_low_light_scales_the_light_not_the_value():
    # A quarter of the light: 0.25 ** (1 / 2.2) = 0.5325 of the value, whatever it is, if no photon is lost.
    full = np.array([1000 * 0.25 * (v / 255) ** 2.2 for v in (255, 100, 0)]).reshape(1, 3, 1)
    changed, _ = images.low_light(row(255, 100, 0), 0.25, Drawn(full, 0))
    assert changed.ravel().tolist() == [136, 53, 0]


def test_low_light_has_the_noise_of_photons():
    image = np.full((200, 200, 1), 255, np.uint8)
    changed, _ = images.low_light(image, 0.1, np.random.default_rng(0))
    electrons = 1000 * (changed / 255.0) ** 2.2  # 100 on average, variance 100 of photons and 4 of reading
    assert electrons.mean() == pytest.approx(100, abs=0.3)
    assert electrons.std() == pytest.approx(104**0.5, rel=0.03)


def test_glare_is_a_gaussian_and_a_quarter_of_it_everywhere():
    black = np.zeros((9, 40, 3), np.uint8)
    sigma_one = 1 / np.hypot(9, 40)
    changed, facts = images.glare(black, (0.4, sigma_one), Drawn(0.5, 2.5))
    # 102 * (1 + 0.25), 102 * (exp(-1 / 2) + 0.25), 102 * 0.25
    assert changed[2, [0, 1, 39], 0].tolist() == [128, 87, 26]
    assert np.array_equal(changed[..., 0], changed[..., 2])
    assert facts == {'x': 0.5, 'y': 2.5, 'sigma': 1.0}


def test_fill_takes_the_place_of_the_image():
    image = np.zeros((1, 2, 3), np.uint8)
    level = np.array([10.0, 20.0, 250.0]), np.array([1.0, 5.0, 10.0])
    changed, _ = images.fill(image, level, Drawn(np.array([[[2, -1, 1], [0, 0, 0]]])))
    assert changed.tolist() == [[[12, 15, 255], [10, 20, 250]]]
