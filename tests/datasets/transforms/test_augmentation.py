"""Augmentation of the shipped configs: what jitters which image, hand-computed boxes, pairs without boxes."""

import random

import cv2
import numpy as np
import pytest
from helpers import ROOT
from mmcv.transforms import Compose
from mmdet.utils import register_all_modules
from mmengine.config import Config

from mmslg.datasets.paired_coco import list_steps
from mmslg.datasets.transforms import InfraredJitter, LoadInfrared
from mmslg.errors import InputError


@pytest.fixture(autouse=True)
def _scope():
    register_all_modules(init_default_scope=True)


def pair(value=100, shape=(64, 96)):
    """Four channels with as much detail in the infrared one as in the others."""
    img = np.full((*shape, 4), value, np.uint8)
    img[:, ::2] += 40
    return dict(img=img)


def steps_of(name, *wanted):
    pipeline = Config.fromfile(ROOT / f'configs/{name}.py').train_dataloader.dataset.pipeline
    return list_steps({step: pipeline[step] for step in wanted})


def test_infrared_jitter_leaves_the_visible_image_alone():
    before = pair()['img']
    after = InfraredJitter(prob=1.0)(pair())['img']
    assert after.dtype == np.uint8 and np.array_equal(before[..., :3], after[..., :3])
    assert not np.array_equal(before[..., 3], after[..., 3])


def test_gain_is_contrast_about_the_mean_and_offset_is_brightness():
    doubled = InfraredJitter(gain=(2.0, 2.0), offset=0, noise=0, prob=1.0)(pair())['img'][..., 3]
    assert np.unique(doubled).tolist() == [80, 160]  # 100 and 140, mean 120
    lights = []
    for _ in range(20):
        lights.append(int(InfraredJitter((1.0, 1.0), offset=30, noise=0, prob=1.0)(pair())['img'][0, 1, 3]))
    assert 70 <= min(lights) < 90 and 110 < max(lights) <= 130
    light = InfraredJitter((2.0, 2.0), 0, 0, 1.0)(dict(img=np.array([[[9] * 4, [250] * 4]], np.uint8)))
    assert light['img'][0, :, 3].tolist() == [0, 255]  # clipped, not wrapped


def test_noise_has_its_deviation():
    flat = dict(img=np.full((200, 200, 4), 128, np.uint8))
    noisy = InfraredJitter((1.0, 1.0), 0, noise=8, prob=1.0)(flat)['img'][..., 3]
    assert 0.5 < noisy.std() <= 8.2 and abs(noisy.mean() - 128) < 0.5


def test_the_jitter_repeats_with_the_seed_of_numpy():
    drawn = []
    for seed in (3, 3, 4):
        np.random.seed(seed)
        drawn.append(InfraredJitter(prob=1.0)(pair())['img'])
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])


def test_no_jitter_changes_nothing():
    assert np.array_equal(InfraredJitter(prob=0)(pair())['img'], pair()['img'])


@pytest.mark.parametrize(
    'options',
    [
        dict(gain=(1.3, 0.7)),
        dict(gain=(0, 1)),
        dict(gain=(1,)),
        dict(offset=-1),
        dict(noise=-1),
        dict(prob=2),
        dict(gain=1.0),
        dict(offset='20'),
        dict(noise=float('nan')),
    ],
)
def test_ranges_that_are_none(options):
    with pytest.raises(InputError, match='InfraredJitter wants gain'):
        InfraredJitter(**options)


@pytest.mark.parametrize('img', [pair()['img'][..., :3], pair()['img'].astype(np.float32)])
def test_jitter_of_something_else_than_a_pair(img):
    with pytest.raises(InputError, match=r'belongs behind mmslg\.LoadInfrared'):
        InfraredJitter()(dict(img=img))


def test_what_visible_jitter_leaves_is_rounded_and_clipped(pairs):
    path = str(pairs / 'infrared/train_001.png')
    visible = np.full((64, 96, 3), [-20.0, 127.6, 300.0], np.float32)
    img = LoadInfrared()(dict(img=visible, ir_path=path))['img']
    assert img.dtype == np.uint8 and img[0, 0, :3].tolist() == [0, 128, 255]
    assert np.array_equal(img[..., 3], cv2.imread(path, cv2.IMREAD_GRAYSCALE))


def test_photometric_jitter_is_of_the_visible_image_alone(pairs):
    steps = Compose(steps_of('slgnet_flir', 'visible', 'photometric', 'infrared'))
    paths = dict(img_path=str(pairs / 'visible/train_001.png'), ir_path=str(pairs / 'infrared/train_001.png'))
    drawn = [steps(dict(paths))['img'] for _ in range(5)]
    assert len({img[..., :3].tobytes() for img in drawn}) > 1
    assert len({img[..., 3].tobytes() for img in drawn}) == 1


def marked(box, oriented=False):
    """A pair of 160x100 whose image is light in a box, as the steps behind the boxes get it."""
    from mmdet.structures.bbox import HorizontalBoxes

    x1, y1, x2, y2 = box
    img = np.zeros((100, 160, 4), np.uint8)
    img[y1:y2, x1:x2] = 255
    boxes = HorizontalBoxes(np.array([box], np.float32))
    return dict(
        img=img,
        img_shape=(100, 160),
        gt_bboxes=boxes.convert_to('rbox') if oriented else boxes,
        gt_bboxes_labels=np.array([0]),
        gt_ignore_flags=np.array([False]),
    )


def test_a_crop_by_hand(monkeypatch):
    """80x50 from (40, 30): the box (30, 40, 60, 50) loses its ten left columns."""
    step = steps_of('slgnet_flir', 'crop')[0]
    crop = Compose(step['transforms'])
    monkeypatch.setattr(crop.transforms[0], '_get_crop_size', lambda shape: (50, 80))
    monkeypatch.setattr(crop.transforms[0], '_rand_offset', lambda margin: (30, 40))
    results = crop(marked((30, 40, 60, 50)))
    assert results['gt_bboxes'].tensor.tolist() == [[0, 10, 20, 20]]
    ys, xs = np.nonzero(results['img'][..., 3])
    assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (0, 10, 20, 20)
    results = crop(marked((0, 0, 10, 10)))  # outside
    assert len(results['gt_bboxes']) == len(results['gt_bboxes_labels']) == 0


def test_a_rotation_by_hand(monkeypatch):
    """By 90 degrees clockwise about (80, 50): (100, 40) goes to (90, 70)."""
    rotate = Compose(steps_of('slgnet_dronevehicle', 'rotate')).transforms[0]
    monkeypatch.setattr(rotate, '_is_rotate', lambda: True)
    monkeypatch.setattr(rotate, '_random_angle', lambda: 90)
    results = rotate(marked((90, 36, 110, 44), oriented=True))
    x, y, width, height, angle = results['gt_bboxes'].tensor[0].tolist()
    assert (x, y) == pytest.approx((90, 70), abs=1e-3)
    upright = (width, height) if abs(np.sin(angle)) < 0.1 else (height, width)
    assert upright == pytest.approx((8, 20), abs=1e-3)
    for channel in (0, 3):
        ys, xs = np.nonzero(results['img'][..., channel] > 127)
        assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (86, 60, 94, 80)


def test_slivers_are_filtered_and_none_left_is_no_fault():
    filter_ = Compose(steps_of('slgnet_flir', 'filter'))
    assert len(filter_(marked((30, 40, 33, 50)))['gt_bboxes']) == 1
    results = filter_(marked((30, 40, 32, 50)))
    assert len(results['gt_bboxes']) == len(results['gt_bboxes_labels']) == 0


@pytest.mark.parametrize('name', ['slgnet_kaist', 'slgnet_dronevehicle'])
def test_pairs_without_boxes(name, tmp_path):
    random.seed(0)
    pipeline = Config.fromfile(ROOT / f'configs/{name}.py').train_dataloader.dataset.pipeline
    pipeline.resize.scale = (100, 80)
    for folder in ('visible', 'infrared'):
        cv2.imwrite(str(tmp_path / f'{folder}.png'), np.full((64, 96, 3), 90, np.uint8))
    pair = dict(
        img_path=str(tmp_path / 'visible.png'),
        ir_path=str(tmp_path / 'infrared.png'),
        img_id=0,
        file_name='a',
        width=96,
        height=64,
        instances=[],
    )
    compose = Compose(list_steps(pipeline))
    for _ in range(30):
        instances = compose(dict(pair))['data_samples'].gt_instances
        assert len(instances.bboxes) == len(instances.labels) == 0
