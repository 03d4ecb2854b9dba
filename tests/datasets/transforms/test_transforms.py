import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose

from mmslg.datasets.transforms import LoadInfrared, LoadVisible, PackPairedInputs
from mmslg.errors import InputError


@pytest.fixture
def paths(pairs):
    return dict(
        img_path=str(pairs / 'visible/train_001.png'),
        ir_path=str(pairs / 'infrared/train_001.png'),
        file_name='train_001.png',
    )


def test_the_pair_becomes_four_channels(paths):
    results = LoadInfrared()(LoadVisible()(dict(paths)))
    assert results['img'].shape == (64, 96, 4) and results['img'].dtype == np.uint8
    assert results['ori_shape'] == (64, 96)
    assert np.array_equal(results['img'][..., :3], cv2.imread(paths['img_path']))
    assert np.array_equal(results['img'][..., 3], cv2.imread(paths['ir_path'], cv2.IMREAD_GRAYSCALE))


def test_16_bit_infrared_is_mapped_by_its_window(paths):
    raw = np.full((64, 96), 30000, np.uint16)
    cv2.imwrite(paths['ir_path'], raw)
    results = LoadInfrared(window=(20000, 40000))(LoadVisible()(dict(paths)))
    assert (results['img'][..., 3] == 128).all()


@pytest.mark.parametrize('size', [(48, 32), (96, 32), (95, 64)])
def test_infrared_of_another_size_or_aspect_is_refused(paths, size):
    cv2.imwrite(paths['ir_path'], np.zeros(size[::-1], np.uint8))
    with pytest.raises(
        InputError, match=f'infrared image is {size[0]}x{size[1]} pixels, the visible one 96x64'
    ):
        LoadInfrared()(LoadVisible()(dict(paths)))


def test_pack(paths):
    steps = [LoadVisible(), LoadInfrared(), PackPairedInputs()]
    packed = Compose(steps)(dict(paths, img_id=7, crop=(0, 0, 96, 64), text=torch.zeros(4, 512)))
    assert packed['inputs']['img'].shape == (4, 64, 96) and packed['inputs']['img'].dtype == torch.uint8
    assert packed['inputs']['text'].shape == (4, 512)
    meta = packed['data_samples'].metainfo
    assert (
        meta['img_id'] == 7 and meta['ir_path'] == paths['ir_path'] and meta['file_name'] == 'train_001.png'
    )
    assert meta['crop'] == (0, 0, 96, 64)


def test_a_flipped_row_or_column_of_one_pixel_is_packed():
    row = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    for line in (row[:, ::-1], row.reshape(3, 1, 4)[::-1]):  # NumPy calls the first one contiguous
        packed = PackPairedInputs(meta_keys=())(dict(img=line))
        assert packed['inputs']['img'][0].flatten().tolist() == [8, 4, 0]
    single = row[:, :1][::-1, ::-1]
    assert PackPairedInputs(meta_keys=())(dict(img=single))['inputs']['img'].flatten().tolist() == [
        0,
        1,
        2,
        3,
    ]


def test_three_channels_are_refused(paths):
    with pytest.raises(
        InputError, match=r'wants an image \(H, W, 4\), got \(64, 96, 3\).*PhotoMetricDistortion'
    ):
        PackPairedInputs()(LoadVisible()(dict(paths)))


def test_photometric_distortion_behind_the_infrared_is_found(paths):
    from mmdet.datasets.transforms import PhotoMetricDistortion

    results = LoadInfrared()(LoadVisible()(dict(paths)))
    try:
        results = PhotoMetricDistortion()(results)
    except Exception:
        return  # a version of it that refuses four channels itself
    with pytest.raises(InputError, match='PhotoMetricDistortion belongs before it'):
        PackPairedInputs()(results)
