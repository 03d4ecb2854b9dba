"""Geometric transforms keep both images and the boxes together."""

import random

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmdet.utils import register_all_modules
from mmengine.config import Config

from mmslg.datasets.paired_coco import list_steps


def paint(folder, x, y, size=9, shape=(128, 160)):
    """A light square on black, at the same place in both images."""
    visible, infrared = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
    visible[y : y + size, x : x + size] = 255
    infrared[y : y + size, x : x + size] = 255
    cv2.imwrite(str(folder / 'visible.png'), visible)
    cv2.imwrite(str(folder / 'infrared.png'), infrared)
    return dict(
        img_path=str(folder / 'visible.png'),
        ir_path=str(folder / 'infrared.png'),
        img_id=0,
        file_name='visible.png',
        height=shape[0],
        width=shape[1],
        instances=[dict(bbox=[x, y, x + size, y + size], bbox_label=0, ignore_flag=0)],
    )


def center(channel):
    ys, xs = np.nonzero(channel > 127)
    return np.array([xs.mean() + 0.5, ys.mean() + 0.5])


def pipelines(root):
    for name in ('slgnet_flir', 'slgnet_mini'):
        yield name, list_steps(Config.fromfile(root / f'configs/{name}.py').train_dataloader.dataset.pipeline)
    load = [
        dict(type='mmslg.LoadVisible'),
        dict(type='mmslg.LoadInfrared'),
        dict(type='LoadAnnotations', with_bbox=True),
    ]
    yield (
        'strong',
        [
            *load,
            dict(type='RandomFlip', prob=0.7, direction=['horizontal', 'vertical', 'diagonal']),
            dict(type='Rotate', prob=0.5, level=3, img_border_value=0),
            dict(type='RandomResize', scale=(200, 160), ratio_range=(0.5, 2.0), keep_ratio=True),
            dict(
                type='RandomCrop', crop_size=(0.6, 0.9), crop_type='relative_range', allow_negative_crop=True
            ),
            dict(type='Pad', size_divisor=32, pad_val=dict(img=0)),
            dict(type='mmslg.PackPairedInputs'),
        ],
    )


@pytest.mark.parametrize('which', ['slgnet_flir', 'slgnet_mini', 'strong'])
def test_a_painted_pixel_stays_in_both_and_in_its_box_over_200_draws(root, tmp_path, which):
    register_all_modules(init_default_scope=True)
    pipeline = Compose(dict(pipelines(root))[which])
    rng, seen = random.Random(0), 0
    random.seed(0)
    for _ in range(200):
        packed = pipeline(paint(tmp_path, rng.randrange(4, 140), rng.randrange(4, 110)))
        image = packed['inputs']['img'].numpy()
        boxes = packed['data_samples'].gt_instances.bboxes.tensor.numpy()
        for channel in image[:3]:
            assert np.array_equal(channel > 127, image[3] > 127)
        if not (image[3] > 127).any():
            continue
        seen += 1
        assert len(boxes) == 1, 'the square is in the picture, its box is gone'
        x1, y1, x2, y2 = boxes[0]
        x, y = center(image[3])
        assert x1 <= x <= x2 and y1 <= y <= y2
        if which != 'strong':  # rotation makes boxes larger than their content
            assert abs(x - (x1 + x2) / 2) <= 1 and abs(y - (y1 + y2) / 2) <= 1
    assert seen > 100
