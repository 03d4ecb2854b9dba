import math

import numpy as np
import pytest

from mmslg.visualization.boxes import draw_boxes, fit_text, to_polygons
from mmslg.visualization.pairs import (
    PAIR_ORIGIN,
    add_legend,
    add_lines,
    contact_sheet,
    enlarge,
    side_by_side,
)
from mmslg.visualization.palette import PALETTE, class_colour

RED = (0, 0, 255)
GREY = np.full((60, 80, 3), 90, np.uint8)


def coloured(picture, colour):
    """Pixels (x, y) of a colour."""
    ys, xs = np.nonzero((picture == colour).all(2))
    return set(zip(xs.tolist(), ys.tolist()))


def test_corners_of_the_three_kinds_of_boxes():
    horizontal = to_polygons([[10, 20, 30, 50]])
    np.testing.assert_array_equal(horizontal[0], [[10, 20], [30, 20], [30, 50], [10, 50]])
    # Centre (40, 30), 20 long, 10 across, turned by 90 degrees: 10 wide and 20 high.
    turned = to_polygons([[40, 30, 20, 10, math.pi / 2]])
    np.testing.assert_allclose(turned[0], [[45, 20], [45, 40], [35, 40], [35, 20]], atol=1e-9)
    # Clockwise in an image: at 45 degrees the middle of the long side's end lies right and below.
    end = to_polygons([[0, 0, 20, 0, math.pi / 4]])[0, 1]
    np.testing.assert_allclose(end, [10 / math.sqrt(2)] * 2)
    np.testing.assert_array_equal(to_polygons([range(8)])[0], [[0, 1], [2, 3], [4, 5], [6, 7]])
    assert to_polygons(np.zeros((0, 5))).shape == (0, 4, 2)
    with pytest.raises(ValueError, match=r'\(N, 8\), got \(1, 6\)'):
        to_polygons(np.zeros((1, 6)))


def test_oriented_corners_are_those_of_mmrotate():
    torch = pytest.importorskip('torch')
    structures = pytest.importorskip('mmrotate.structures.bbox')
    boxes = [[40, 30, 20, 10, 0.3], [10, 50, 8, 12, -1.1]]
    theirs = structures.rbox2qbox(torch.tensor(boxes)).view(2, 4, 2).numpy()
    for own, other in zip(to_polygons(boxes), theirs):
        np.testing.assert_allclose(sorted(own.tolist()), sorted(other.tolist()), atol=1e-4)


def test_solid_outline_is_where_the_box_is():
    picture = draw_boxes(GREY, to_polygons([[10, 20, 30, 50]]), [RED], thickness=1)
    columns = {(x, y) for x in (10, 30) for y in range(20, 51)}
    rows = {(x, y) for y in (20, 50) for x in range(10, 31)}
    assert coloured(picture, RED) == columns | rows
    assert (GREY == 90).all()


def test_dashed_outline_has_gaps_and_a_dark_line_under_it():
    picture = draw_boxes(GREY, to_polygons([[10, 20, 34, 50]]), [(255, 255, 255)], dashed=True, thickness=1)
    top = picture[20, 10:35, 0]
    assert top.tolist() == ([255] * 6 + [40] * 6) * 2 + [255]
    assert (picture[19] == 90).all()


def test_label_goes_above_its_box_and_inside_at_the_top_edge():
    picture = draw_boxes(np.zeros((100, 200, 3), np.uint8), to_polygons([[50, 60, 150, 90]]), [RED], ['car'])
    ys = [y for _, y in coloured(picture, RED)]
    assert 40 < min(ys) < 55
    picture = draw_boxes(np.zeros((60, 200, 3), np.uint8), to_polygons([[50, 0, 150, 59]]), [RED], ['car'])
    assert {(51, 3), (56, 3)} <= coloured(picture, RED)


def test_label_that_would_cover_all_others_is_left_out():
    box = [[5, 20, 60, 45]]
    places = [draw_boxes(GREY, to_polygons(box * n), [RED] * n, ['car'] * n) for n in range(1, 9)]
    covered = [len(coloured(picture, RED)) for picture in places]
    assert covered[0] < covered[1] and covered[-1] == covered[-2]


@pytest.mark.parametrize(
    ('shape', 'factor'), [((256, 320), 2), ((512, 640), 1), ((480, 100), 1), ((479, 100), 2)]
)
def test_small_pictures_are_doubled(shape, factor):
    picture, found = enlarge(np.zeros((*shape, 3), np.uint8))
    assert found == factor and picture.shape == (shape[0] * factor, shape[1] * factor, 3)


def test_side_by_side_places_both_pictures():
    visible, infrared = np.full((40, 60, 3), 10, np.uint8), np.full((40, 60, 3), 200, np.uint8)
    page = side_by_side(visible, infrared, 'a title')
    x, y = PAIR_ORIGIN
    assert page.shape == (y + 40 + 10, 10 + 60 + 10 + 60 + 10, 3)
    assert (page[y : y + 40, x : x + 60] == 10).all()
    assert (page[y : y + 40, x + 70 : x + 130] == 200).all()
    assert (page[:y] < 128).any() and (page[y:, x + 60 : x + 70] == 255).all()


def test_on_large_pictures_all_that_is_drawn_is_large():
    picture = np.zeros((200, 1600, 3), np.uint8)
    drawn = draw_boxes(picture, to_polygons([[50, 100, 150, 190]]), [RED], ['car'])
    assert {y for _, y in coloured(drawn, RED) if y < 98} == set(range(68, 98))  # a label of 32 pixels
    across = {x for x, y in coloured(drawn, RED) if y == 140 and x < 100}
    assert len(across) in (4, 5) and 50 in across  # OpenCV draws even widths one wider
    page = side_by_side(picture, picture, 'a title')
    assert page.shape == (100 + 200 + 10, 10 + 1600 + 10 + 1600 + 10, 3)
    assert (page[100:300, 10:1610] == 0).all()
    assert len(add_legend(page, ['person'], 'ground truth', 2)) == len(page) + 60


def test_legend_wraps_and_lines_are_added_below():
    page = np.full((50, 200, 3), 255, np.uint8)
    one = add_legend(page, ['person', 'car'])
    assert one.shape == (80, 200, 3)
    assert tuple(one[60, 15]) == class_colour(0)
    assert add_legend(page, ['freight-car'] * 3).shape == (50 + 3 * 30, 200, 3)
    assert add_lines(page, ['a', 'b']).shape == (50 + 2 * 20 + 10, 200, 3)
    assert add_lines(page, []).shape == page.shape


def test_long_text_is_cut_and_foreign_letters_replaced():
    assert fit_text('day', 500, 0.5) == 'day'
    cut = fit_text('a very long file name ' * 9, 120, 0.5)
    assert cut.endswith('...') and len(cut) < 30
    assert fit_text('straße', 500, 0.5) == 'stra?e'


def test_contact_sheet_is_a_grid():
    pages = [np.full((30, 100, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = contact_sheet(pages, columns=2, width=50)
    assert sheet.shape == (30, 100, 3)
    assert [tuple(sheet[y, x]) for y, x in ((5, 5), (5, 60), (20, 5), (20, 60))] == [
        (10,) * 3, (20,) * 3, (30,) * 3, (255,) * 3,
    ]  # fmt: skip
    assert contact_sheet(pages[:1], width=960).shape == (30, 100, 3)


def test_palette_has_distinct_colours_and_repeats():
    assert len(set(PALETTE)) == 7 and class_colour(8) == PALETTE[1]
