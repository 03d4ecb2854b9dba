import cv2
import numpy as np
import pytest

from mmslg.errors import InputError
from mmslg.utils.image_io import read_infrared, read_visible, to_8bit


def jpeg(path, quality=90, progressive=False, thumbnail=False):
    image = np.random.randint(0, 255, (64, 80, 3), dtype=np.uint8)
    _, data = cv2.imencode(
        '.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    )
    data = data.tobytes()
    if thumbnail:  # a whole JPEG inside a comment segment, as cameras write it
        _, small = cv2.imencode('.jpg', image[:16, :16])
        data = data[:2] + b'\xff\xe1' + (len(small) + 2).to_bytes(2, 'big') + small.tobytes() + data[2:]
    path.write_bytes(data)
    return data


@pytest.mark.parametrize('progressive', [False, True])
@pytest.mark.parametrize('thumbnail', [False, True])
@pytest.mark.parametrize('share', [0.5, 0.95])
def test_truncated_jpeg_is_refused(tmp_path, progressive, thumbnail, share):
    path = tmp_path / 'image.jpg'
    data = jpeg(path, progressive=progressive, thumbnail=thumbnail)
    assert read_visible(path).shape == (64, 80, 3)
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r'image\.jpg: the visible JPEG is truncated'):
        read_visible(path)


def test_jpeg_without_a_scan_is_refused(tmp_path):
    path = tmp_path / 'image.jpg'
    path.write_bytes(jpeg(path)[:100])
    with pytest.raises(InputError, match=r'image\.jpg: the infrared image cannot be decoded'):
        read_infrared(path)


def test_bytes_behind_the_end_are_tolerated(tmp_path):
    path = tmp_path / 'image.jpg'
    path.write_bytes(jpeg(path) + b'camera notes')
    assert read_visible(path).shape == (64, 80, 3)


def test_missing_empty_and_foreign_files(tmp_path):
    with pytest.raises(InputError, match=r'x.jpg: no such file, wanted the infrared image'):
        read_infrared(tmp_path / 'x.jpg')
    (tmp_path / 'empty.jpg').touch()
    with pytest.raises(InputError, match=r'empty.jpg: the visible image is empty \(0 bytes\)'):
        read_visible(tmp_path / 'empty.jpg')
    (tmp_path / 'text.png').write_text('not an image')
    with pytest.raises(InputError, match=r'text\.png: the infrared image cannot be decoded'):
        read_infrared(tmp_path / 'text.png')


def test_infrared_keeps_16_bits_and_folds_equal_channels(tmp_path):
    raw = np.arange(0, 60000, 1000, dtype=np.uint16).reshape(6, 10)
    cv2.imwrite(str(tmp_path / 'raw.png'), raw)
    assert np.array_equal(read_infrared(tmp_path / 'raw.png'), raw)
    grey = np.arange(60, dtype=np.uint8).reshape(6, 10)
    cv2.imwrite(str(tmp_path / 'grey.png'), np.dstack([grey] * 3))
    assert np.array_equal(read_infrared(tmp_path / 'grey.png'), grey)


def test_mapping_to_8_bits_by_hand():
    raw = np.array([[1000, 2000], [3000, 6000]], np.uint16)
    assert to_8bit(raw, window=(1000, 3000)).tolist() == [[0, 128], [255, 255]]
    # Percentiles 0.1 and 99.9 of these four values: 1003 and 5991.
    assert to_8bit(raw).tolist() == [[0, 51], [102, 255]]
    assert to_8bit(np.full((2, 2), 7, np.uint16)).tolist() == [[0, 0], [0, 0]]
    grey = np.array([[7, 9]], np.uint8)
    assert to_8bit(grey) is grey
    assert to_8bit(grey, window=(7, 9)).tolist() == [[0, 255]]
