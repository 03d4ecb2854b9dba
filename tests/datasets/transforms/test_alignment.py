"""Every shipped pipeline keeps both images and the boxes together, whatever it draws."""

import random

import cv2
import numpy as np
import pytest
from helpers import ROOT
from mmcv.transforms import Compose
from mmdet.utils import register_all_modules
from mmengine.config import Config

from mmslg.datasets.paired_coco import list_steps

DRAWS = 200
SHAPE = (128, 160)
NOT_GEOMETRY = ('mmdet.PhotoMetricDistortion', 'mmslg.InfraredJitter', 'mmslg.DropModality')
STRONG = [
    dict(type='mmslg.LoadVisible'),
    dict(type='mmslg.LoadInfrared'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=0.7, direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='Rotate', prob=0.5, level=3, img_border_value=0),
    dict(type='RandomResize', scale=(200, 160), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(0.6, 0.9), crop_type='relative_range', allow_negative_crop=True),
    dict(type='Pad', size_divisor=32, pad_val=dict(img=0)),
    dict(type='mmslg.PackPairedInputs'),
]


def geometry_of(steps):
    """The steps without what changes pixels alone, which is tested by itself, and at a size that is quick."""
    steps = [dict(step) for step in steps if step['type'] not in NOT_GEOMETRY]
    for step in steps:
        if 'Resize' in step['type']:
            step['scale'] = (200, 160)
    return steps


def shipped():
    """The training pipelines of all configs, each that differs by the first that has it."""
    found = {}
    for path in sorted((ROOT / 'configs').rglob('*.py')):
        if '_base_' not in path.parts:
            steps = geometry_of(list_steps(Config.fromfile(path).train_dataloader.dataset.pipeline))
            found.setdefault(str(steps), (path.stem, steps))
    return dict(found.values())


PIPELINES = shipped() | {'strong': STRONG}


def paint(folder, x, y, oriented, size=(13, 9)):
    """A light rectangle on black, at the same place in both images."""
    visible, infrared = np.zeros((*SHAPE, 3), np.uint8), np.zeros(SHAPE, np.uint8)
    visible[y : y + size[1], x : x + size[0]] = 255
    infrared[y : y + size[1], x : x + size[0]] = 255
    cv2.imwrite(str(folder / 'visible.png'), visible)
    cv2.imwrite(str(folder / 'infrared.png'), infrared)
    x2, y2 = x + size[0], y + size[1]
    box = [x, y, x2, y, x2, y2, x, y2] if oriented else [x, y, x2, y2]
    return dict(
        img_path=str(folder / 'visible.png'),
        ir_path=str(folder / 'infrared.png'),
        img_id=0,
        file_name='visible.png',
        height=SHAPE[0],
        width=SHAPE[1],
        instances=[dict(bbox=box, bbox_label=0, ignore_flag=0)],
    )


def is_oriented(steps):
    return any(step.get('box_type') == 'qbox' for step in steps)


def test_there_are_pipelines_of_every_kind():
    kinds = [{step['type'] for step in steps} for steps in PIPELINES.values()]
    assert set().union(*kinds) >= {'RandomApply', 'RandomResize', 'mmdet.RandomFlip', 'mmrotate.RandomRotate'}
    assert len(PIPELINES) >= 5


def beyond(light, box):
    """How far the light pixels reach beyond the four edges of a box, in pixels; negative is within."""
    ys, xs = np.nonzero(light)
    if len(box) == 4:
        box = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1], 0]
    x, y, width, height, angle = box
    along = (xs + 0.5 - x) * np.cos(angle) + (ys + 0.5 - y) * np.sin(angle)
    across = (ys + 0.5 - y) * np.cos(angle) - (xs + 0.5 - x) * np.sin(angle)
    reach = [side for each in (along, across) for side in (each.max(), -each.min())]
    # The centre of the last pixel is half a pixel within, for any angle about as much.
    return np.array(reach) + 0.5 - np.array([width, width, height, height]) / 2


@pytest.mark.parametrize('which', PIPELINES)
def test_a_painted_pixel_stays_in_both_and_in_its_box_over_200_draws(tmp_path, which):
    register_all_modules(init_default_scope=True)
    steps = PIPELINES[which]
    oriented = any(step.get('box_type') == 'qbox' for step in steps)
    pipeline = Compose(steps)
    rng, seen = random.Random(0), 0
    random.seed(0)
    for _ in range(DRAWS):
        packed = pipeline(paint(tmp_path, rng.randrange(4, 140), rng.randrange(4, 110), oriented))
        image = packed['inputs']['img'].numpy()
        boxes = packed['data_samples'].gt_instances.bboxes.tensor.numpy()
        for channel in image[:3]:
            assert np.array_equal(channel, image[3])
        light = image[3] > 127
        if light.sum() < 20:
            continue  # cut away, or all but
        cut = light[[0, -1]].any() or light[:, [0, -1]].any()
        if oriented and cut:
            continue  # the box is gone if its centre is, and is as large as before if not
        seen += 1
        assert len(boxes) == 1, 'the rectangle is in the picture, its box is gone'
        outside = beyond(light, boxes[0])
        assert outside.max() <= 1.1
        assert which == 'strong' or outside.min() >= -1.1  # where upright boxes rotate they grow
    assert seen > DRAWS / 2
