import numpy as np
import pytest

from mmslg.visualization.structure import (
    INFRARED_COLOUR,
    VISIBLE_COLOUR,
    Level,
    draw_points,
    draw_supply,
    spread,
)


def level(rgb, ir, stride=8):
    rgb, ir = np.float32(rgb), np.float32(ir)
    ref = np.maximum(rgb, ir)
    return Level(stride, rgb, ir, ref, ref, ref, ref)


def test_shares_are_the_reference_by_the_stronger_modality():
    edges = level([[0.9, 0.0, 0.2]], [[0.1, 0.3, 0.2]])
    assert edges.shares() == pytest.approx(dict(visible=1.0 / 1.4, infrared=0.4 / 1.4))
    # Cells of 8 pixels: the box touches the first two, whose references are 0.9 and 0.3.
    assert edges.shares([2, 0, 15, 8]) == pytest.approx(dict(visible=0.75, infrared=0.25))
    assert edges.shares([8, 1, 16, 7])['infrared'] == 1
    assert edges.shares([-20, -20, -10, -10])['visible'] == 1  # outside: the nearest cell
    assert level([[0.0]], [[0.0]]).shares() == dict(visible=0.5, infrared=0.5)


def test_a_cell_covers_its_stride_and_the_padding_is_cut():
    picture = spread(np.array([[1, 2], [3, 4]], np.uint8), 8, (12, 10))
    assert picture.shape == (10, 12)
    assert (picture[:8, :8] == 1).all() and (picture[:8, 8:] == 2).all() and (picture[8:, 8:] == 4).all()


def test_edges_have_the_colour_of_their_modality():
    edges = level([[1.0, 0.0]], [[0.0, 1.0]])
    picture = draw_supply(edges, np.zeros((8, 16, 3), np.uint8))
    np.testing.assert_allclose(picture[4, 4], np.multiply(VISIBLE_COLOUR, 0.85), atol=1)
    np.testing.assert_allclose(picture[4, 12], np.multiply(INFRARED_COLOUR, 0.85), atol=1)
    weak = draw_supply(level([[1.0, 0.01]], [[0.0, 0.0]]), np.zeros((8, 16, 3), np.uint8))
    assert weak[4, 12].max() < 10 < weak[4, 4].max()


def test_a_token_is_framed_and_its_points_are_dots_by_weight():
    points = np.array([[[[[60.0, 20.0]], [[20.0, 60.0]]]]])
    picture = draw_points(
        np.zeros((100, 100, 3), np.uint8), np.array([[50.0, 50.0]]), points, np.array([[[[0.9], [0.1]]]])
    )
    assert picture.shape == (200, 200, 3)  # doubled
    assert tuple(picture[100 - 16, 100]) == (255, 255, 255)
    assert picture[40, 120].any() and picture[120, 40].any()
    large, small = (picture[40, :].any(1).sum(), picture[120, :84].any(1).sum())
    assert large > small > 0
