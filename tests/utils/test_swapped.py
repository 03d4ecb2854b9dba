"""Pairs whose images look swapped."""

import cv2
import numpy as np

from mmslg.utils.image_io import looks_swapped, same_aspect


def test_gray_beside_colour(tmp_path):
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (64, 96), dtype=np.uint8)
    colour = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    noisy = cv2.imdecode(cv2.imencode('.jpg', cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR))[1], cv2.IMREAD_COLOR)
    for visible in (gray, noisy):
        assert looks_swapped(visible, colour)
    assert not looks_swapped(colour, gray) and not looks_swapped(gray, gray)
    assert not looks_swapped(colour, colour)
    cv2.imwrite(str(tmp_path / 'colour.png'), cv2.resize(colour, (768, 512), interpolation=cv2.INTER_NEAREST))
    cv2.imwrite(str(tmp_path / 'gray.jpg'), cv2.resize(gray, (768, 512), interpolation=cv2.INTER_NEAREST))
    assert looks_swapped(tmp_path / 'gray.jpg', tmp_path / 'colour.png')
    assert not looks_swapped(tmp_path / 'colour.png', tmp_path / 'gray.jpg')
    (tmp_path / 'text.jpg').write_text('no image')
    assert not looks_swapped(tmp_path / 'text.jpg', tmp_path / 'text.jpg')


def test_no_real_pair_looks_swapped(shared):
    from mmslg.pairing import find_pairs

    for name in ('flir_aligned_pairs', 'llvip_pairs', 'kaist_pairs', 'm3fd_pairs', 'dronevehicle_pairs'):
        for _, visible, infrared in find_pairs(shared / name).pairs:
            assert not looks_swapped(visible, infrared), visible
            assert looks_swapped(infrared, visible), visible


def test_aspects():
    assert same_aspect((512, 640), (256, 320)) and same_aspect((512, 640, 3), (255, 320))
    assert not same_aspect((512, 640), (480, 640)) and not same_aspect((512, 640), (320, 256))
