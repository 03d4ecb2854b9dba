import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmslg.captions.captioners.photometric import (
    PairStatistics,
    PhotometricCaptioner,
    daylight_evidence,
    environment,
    measure,
    scene,
    thermal,
)
from mmslg.captions.schema import VOCABULARY, time_of_day
from mmslg.errors import InputError

DATA = Path(__file__).parents[2] / '../shared/data'
ROADSCENE = DATA / 'roadscene_flir'
DAY = PairStatistics(
    mean=130,
    black=40,
    median=120,
    white=220,
    saturated=0.01,
    sky=210,
    sky_difference=40,
    tint=2,
    haze_edges=0.3,
    visible_edges=0.4,
    infrared_edges=0.4,
    thermal_range=0.5,
    raw=False,
)
NIGHT = replace(DAY, mean=50, sky=30, sky_difference=-20, tint=9, black=5)


def gradient(height=128, width=160, low=0, high=255):
    return np.tile(np.linspace(low, high, width), (height, 1))


def color(gray):
    return np.repeat(gray.astype(np.uint8)[..., None], 3, axis=2)


def test_statistics_of_a_known_pair():
    gray = np.full((128, 160), 40, np.uint8)
    gray[:42] = 200  # exactly the upper third, 42 of 128 rows
    stats = measure(color(gray), np.full((64, 80), 9, np.uint8))
    assert (stats.black, stats.median, stats.white, stats.sky) == (40, 40, 200, 200)
    assert stats.mean == pytest.approx((42 * 200 + 86 * 40) / 128)
    assert stats.sky_difference == pytest.approx(160)
    assert stats.tint < 0.5
    assert stats.saturated == 0
    # One step of 160 over two rows, Sobel's 1-2-1 adds 4: 2 rows of 640 among 128.
    assert stats.haze_edges == pytest.approx(2 * 640 / 128 / 200)
    assert stats.visible_edges == pytest.approx(2 * 4 / 128)
    assert (stats.infrared_edges, stats.thermal_range, stats.raw) == (0, 0, False)


def test_evidence_adds_four_cues():
    # (210 - 165) / 60 + clip((40 + 10) / 20) + clip((7 - 2) / 4) + 0
    assert daylight_evidence(DAY) == pytest.approx(0.75 + 1 + 1)
    # -1, (-20 + 10) / 20, (7 - 9) / 4, 3 * clip((50 - 80) / 20)
    assert daylight_evidence(NIGHT) == pytest.approx(-1 - 0.5 - 0.5 - 3)


@pytest.mark.parametrize(
    ('stats', 'wanted'),
    [
        (DAY, 'clear daylight'),
        (replace(DAY, white=170), 'dim daylight'),
        (replace(DAY, saturated=0.2), 'overexposed daylight'),
        (replace(DAY, median=210), 'overexposed daylight'),
        (replace(DAY, saturated=0.2, black=125), 'daylight with strong glare'),
        (replace(DAY, black=150, haze_edges=0.1), 'foggy daylight'),
        (replace(DAY, black=255, white=255, haze_edges=0, saturated=1), 'daylight with strong glare'),
        (NIGHT, 'dimly lit night'),
        (replace(NIGHT, mean=10), 'very dark night'),
        (replace(NIGHT, mean=110), 'artificially lit night'),
        (replace(NIGHT, saturated=0.05), 'night with strong glare'),
        (replace(NIGHT, mean=90, black=80, white=130, haze_edges=0.1), 'foggy night'),
        (replace(NIGHT, mean=10, black=8, white=12, haze_edges=0.1), 'very dark night'),
    ],
)
def test_environment(stats, wanted):
    assert environment(stats) == wanted
    assert wanted in VOCABULARY['environment']


@pytest.mark.parametrize(
    ('edges', 'wanted'),
    [
        ((0.1, 0.2), 'open scene'),
        ((0.4, 0.1), 'moderately structured scene'),
        ((0.1, 0.6), 'densely structured scene'),
    ],
)
def test_scene_takes_the_richer_image(edges, wanted):
    assert scene(replace(DAY, visible_edges=edges[0], infrared_edges=edges[1])) == wanted
    assert wanted in VOCABULARY['scene']


@pytest.mark.parametrize(
    ('change', 'wanted'),
    [
        ({'thermal_range': 0.7}, 'high thermal contrast'),
        ({'thermal_range': 0.3, 'infrared_edges': 0.0}, 'moderate thermal contrast'),
        ({'thermal_range': 0.1, 'infrared_edges': 0.3}, 'low thermal contrast'),
        ({'thermal_range': 0.1, 'infrared_edges': 0.1}, 'thermal crossover'),
        ({'thermal_range': 100, 'raw': True}, 'low thermal contrast'),
        ({'thermal_range': 500, 'raw': True}, 'moderate thermal contrast'),
        ({'thermal_range': 2000, 'raw': True}, 'high thermal contrast'),
    ],
)
def test_thermal(change, wanted):
    assert thermal(replace(DAY, **change)) == wanted
    assert wanted in VOCABULARY['thermal']


@pytest.mark.parametrize(
    ('low', 'high', 'wanted', 'raw'),
    [
        (7000, 7100, 'low thermal contrast', True),
        (7000, 7600, 'moderate thermal contrast', True),
        (30000, 33000, 'high thermal contrast', True),
        (0, 65535, 'high thermal contrast', False),
        (20000, 50000, 'moderate thermal contrast', False),
    ],
)
def test_16_bit_infrared_is_judged_by_its_absolute_range(low, high, wanted, raw):
    ramp = gradient(low=low, high=high)
    stats = measure(color(gradient()), ramp.astype(np.uint16))
    assert stats.raw is raw
    assert stats.thermal_range * (1 if raw else 65535) == pytest.approx(0.96 * (high - low), rel=0.02)
    assert thermal(replace(stats, visible_edges=stats.infrared_edges)) == wanted


def test_edges_of_16_and_8_bit_infrared_agree():
    rng = np.random.default_rng(0)
    eight = cv2.resize(rng.integers(0, 256, (16, 20), np.uint8), (160, 128))
    raw = eight.astype(np.uint16) * 4 + 7000
    visible = color(gradient())
    assert measure(visible, raw).infrared_edges == pytest.approx(
        measure(visible, eight).infrared_edges, rel=0.01
    )


def test_frame_white_in_both_images_is_not_scene():
    visible, infrared = color(gradient(512, 640, 0, 60)), gradient(512, 640).astype(np.uint8)
    framed = [cv2.copyMakeBorder(x, 100, 100, 100, 100, 0, value=(255,) * 3) for x in (visible, infrared)]
    captioner = PhotometricCaptioner()
    assert measure(*framed).white == pytest.approx(measure(visible, infrared).white, abs=2)
    assert captioner.caption(*framed).environment == captioner.caption(visible, infrared).environment
    assert measure(framed[0], infrared).white == 255


def test_caption_is_neutral_about_objects_and_leaves_the_images_alone():
    visible, infrared = color(gradient()), gradient(60, 80).astype(np.uint16)
    copies = visible.copy(), infrared.copy()
    caption = PhotometricCaptioner().caption(visible, infrared)
    assert caption.objects == 'unspecified objects'
    assert all(text in VOCABULARY[name] for name, text in caption.to_dict().items())
    assert (visible == copies[0]).all() and (infrared == copies[1]).all()


@pytest.mark.parametrize('size', [(1, 1), (3, 500), (1024, 1280)])
@pytest.mark.parametrize('value', [0, 128, 255])
def test_flat_and_odd_images_get_a_caption(size, value):
    caption = PhotometricCaptioner().caption(
        np.full((*size, 3), value, np.uint8), np.full(size, value, np.uint8)
    )
    assert time_of_day(caption) == ('night' if value == 0 else 'day')


@pytest.mark.parametrize(
    ('visible', 'infrared', 'message'),
    [
        (((8, 8), np.uint8), ((8, 8), np.uint8), r'visible image \(H, W, 3\) uint8, got \(8, 8\)'),
        (((8, 8, 3), np.float32), ((8, 8), np.uint8), 'visible image .* float32'),
        (((8, 8, 3), np.uint8), ((8, 8, 3), np.uint8), r'infrared image \(H, W\)'),
        (((8, 8, 3), np.uint8), ((8, 8), np.float32), 'infrared image .* float32'),
        (((0, 8, 3), np.uint8), ((8, 8), np.uint8), 'visible image'),
    ],
)
def test_wrong_images_are_refused(visible, infrared, message):
    with pytest.raises(InputError, match=message):
        PhotometricCaptioner().caption(np.zeros(*visible), np.zeros(*infrared))


@pytest.mark.skipif(not ROADSCENE.is_dir(), reason='the RoadScene pairs are not beside the repository')
def test_day_and_night_of_real_pairs():
    captioner = PhotometricCaptioner()
    confusion = {}
    for split in ('train', 'test'):
        for image in json.loads((ROADSCENE / f'annotations_{split}.json').read_text())['images']:
            visible = cv2.imread(str(ROADSCENE / 'visible' / image['file_name']))
            infrared = cv2.imread(str(ROADSCENE / 'infrared' / image['file_name']), cv2.IMREAD_GRAYSCALE)
            cell = image['time'], time_of_day(captioner.caption(visible, infrared))
            confusion[cell] = confusion.get(cell, 0) + 1
    right = confusion.get(('day', 'day'), 0) + confusion.get(('night', 'night'), 0)
    assert sum(confusion.values()) == 108
    assert right / 108 >= 0.95, confusion


@pytest.mark.parametrize(
    ('visible', 'infrared', 'time', 'wanted'),
    [
        ('llvip_pairs/visible/*/*.jpg', ('visible', 'infrared'), lambda name: 'night', 1.0),
        ('dronevehicle_pairs/padded_840x712/*/rgb/*.jpg', ('rgb', 'ir'), lambda name: 'night', 1.0),
        # Sets 6 to 8 were taken by day. A backlit crossing and a shopping street at night go wrong.
        (
            'kaist_pairs/images/*_visible.*',
            ('_visible', '_lwir'),
            lambda name: 'day' if name[:5] in ('set06', 'set07', 'set08') else 'night',
            11 / 13,
        ),
    ],
    ids=['llvip', 'dronevehicle', 'kaist'],
)
def test_day_and_night_of_other_real_pairs(visible, infrared, time, wanted):
    paths = sorted(DATA.glob(visible))
    if not paths:
        pytest.skip('the pairs are not beside the repository')
    right = 0
    for path in paths:
        partner = str(path.relative_to(DATA)).replace(*infrared)
        pair = cv2.imread(str(path)), cv2.imread(str(DATA / partner), cv2.IMREAD_GRAYSCALE)
        right += time_of_day(PhotometricCaptioner().caption(*pair)) == time(path.name)
    assert right / len(paths) >= wanted
