import numpy as np
import pytest

from mmslg.conversion import quads

SIZE = (640, 512)


def quad(*points):
    return np.reshape(np.array(points, float), (4, 2))


def test_area_and_enclosing_box():
    diamond = quad(10, 0, 20, 10, 10, 20, 0, 10)
    assert quads.area(diamond) == 200
    assert quads.enclosing(diamond) == (0, 0, 20, 20)


def test_an_upright_box_is_cut_exactly():
    cut = quads.clip(quad(-10, 20, 30, 20, 30, 40, -10, 40), SIZE)
    assert quads.enclosing(cut) == (0, 20, 30, 20) and quads.area(cut) == 600


@pytest.mark.parametrize('angle', range(0, 90, 15))
@pytest.mark.parametrize('centre', [(0, 250), (640, 250), (300, 0), (300, 512), (2, 3), (638, 510)])
def test_what_is_left_lies_inside_frame_and_box(angle, centre):
    a = np.deg2rad(angle)
    axes = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    box = np.array([[-30, -12], [30, -12], [30, 12], [-30, 12]]) @ axes + centre
    assert quads.crosses(box, SIZE)
    cut = quads.clip(box, SIZE)
    assert cut.shape == (4, 2) and not quads.crosses(cut, SIZE)
    local = (cut - centre) @ axes.T
    assert (np.abs(local) <= (30.01, 12.01)).all()
    grid = (
        np.stack(np.meshgrid(np.linspace(-30, 30, 241), np.linspace(-12, 12, 97)), -1).reshape(-1, 2) @ axes
    )
    inside = ((grid + centre >= 0) & (grid + centre <= SIZE)).all(1).mean() * 60 * 24
    assert 0.7 * inside <= quads.area(cut) <= inside * 1.02


def test_a_corner_becomes_four_points():
    cut = quads.clip(quad(-40, 10, 10, -40, 20, -30, -30, 20), SIZE)
    assert cut is None  # passes by the corner
    cut = quads.clip(quad(-20, 30, 30, -20, 40, -10, -10, 40), SIZE)
    assert cut.shape == (4, 2) and not quads.crosses(cut, SIZE)


def test_nothing_left():
    assert quads.clip(quad(-30, 0, -10, 0, -10, 9, -30, 9), SIZE) is None
    assert quads.clip(quad(5, 5, 5, 5, 5, 5, 5, 5), SIZE) is None
    assert quads.is_degenerate(quad(5, 5, 9, 5, 9, 5, 5, 5))
