import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from mmslg.errors import InputError
from mmslg.utils.image_io import probe_image, read_infrared, read_visible, to_8bit


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


def real_jpeg(path):
    """A JPEG of a smooth picture, as photographs are; returns its bytes."""
    image = cv2.resize(np.random.randint(0, 255, (16, 20, 3), dtype=np.uint8), (320, 256))
    cv2.imwrite(str(path), image)
    return path.read_bytes()


def cut_and_closed(data):
    return data[: len(data) // 2] + b'\xff\xd9'


def overwritten(data):
    return data[: len(data) // 2] + b'\0' * 400 + data[len(data) // 2 + 400 :]


@pytest.mark.parametrize('read', [read_visible, read_infrared])
@pytest.mark.parametrize('damage', [cut_and_closed, overwritten])
def test_a_jpeg_that_decodes_with_a_warning_is_damaged(tmp_path, read, damage):
    path = tmp_path / 'image.jpg'
    data = real_jpeg(path)
    assert read(path).shape[:2] == (256, 320)
    path.write_bytes(damage(data))
    assert cv2.imread(str(path)) is not None  # with a warning only
    with pytest.raises(
        InputError, match=r'image\.jpg: the \w+ JPEG is damaged \(Corrupt JPEG data'
    ) as caught:
        read(path)
    assert '\n' not in str(caught.value)


def test_pixels_are_those_of_opencv(tmp_path, shared):
    files = sorted(shared.rglob('*.jpg'))[::12]
    assert len(files) > 20
    for path in files:
        assert np.array_equal(read_visible(path), cv2.imread(str(path)))
        grey = cv2.imread(str(path), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
        grey = cv2.cvtColor(grey, cv2.COLOR_BGR2GRAY) if grey.ndim == 3 else grey
        assert np.array_equal(read_infrared(path), grey)


@pytest.mark.parametrize(
    'options',
    [
        [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
        [cv2.IMWRITE_JPEG_RST_INTERVAL, 4],
        [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411],
        [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440],
        [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    ],
)
@pytest.mark.parametrize('grey', [False, True])
def test_pixels_of_every_kind_of_jpeg_are_those_of_opencv(tmp_path, options, grey):
    image = cv2.resize(np.random.randint(0, 255, (16, 20, 3), dtype=np.uint8), (321, 255))
    path = tmp_path / 'image.jpg'
    cv2.imwrite(str(path), image[..., 0] if grey else image, options)
    assert np.array_equal(read_visible(path), cv2.imread(str(path)))
    if grey:
        assert np.array_equal(read_infrared(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))


def with_size(data, width, height):
    """Let the header of a PNG or JPEG say another size."""
    data = bytearray(data)
    if data[:2] == b'\xff\xd8':
        start = next(at for at in range(len(data)) if data[at] == 0xFF and data[at + 1] in (0xC0, 0xC2))
        data[start + 5 : start + 9] = struct.pack('>HH', height, width)
    else:
        data[16:24] = struct.pack('>II', width, height)
        data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
@pytest.mark.parametrize('read', [read_visible, read_infrared])
def test_a_header_that_promises_too_many_pixels_is_one_line(tmp_path, suffix, read):
    path = tmp_path / f'bomb{suffix}'
    cv2.imwrite(str(path), np.zeros((64, 80, 3), np.uint8))
    path.write_bytes(with_size(path.read_bytes(), 40000, 40000))
    with pytest.raises(
        InputError, match=r'bomb\.\w+: the \w+ image claims 40000x40000 pixels, wanted at most 2684'
    ):
        read(path)
    assert probe_image(path) == (None, 'too large')


def test_a_bomb_of_another_format_is_one_line(tmp_path):
    path = tmp_path / 'bomb.bmp'
    cv2.imwrite(str(path), np.zeros((64, 80, 3), np.uint8))
    data = bytearray(path.read_bytes())
    data[18:26] = struct.pack('<ii', 40000, 40000)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r'bomb\.bmp: the visible image cannot be decoded'):
        read_visible(path)
    assert probe_image(path) == (None, 'unreadable')


def turned(path):
    """Write a JPEG or PNG of 80x64 pixels whose EXIF data says: turn it by 90 degrees."""
    image = cv2.resize(np.random.randint(0, 255, (8, 10, 3), dtype=np.uint8), (80, 64))
    exif = b'MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0'
    data = cv2.imencode(path.suffix, image)[1].tobytes()
    if path.suffix == '.jpg':
        exif = b'Exif\0\0' + exif
        data = data[:2] + b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif + data[2:]
    else:
        chunk = b'eXIf' + exif
        data = (
            data[:33]
            + struct.pack('>I', len(exif))
            + chunk
            + struct.pack('>I', zlib.crc32(chunk))
            + data[33:]
        )
    path.write_bytes(data)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_an_orientation_in_the_exif_data_is_ignored_everywhere(tmp_path, suffix):
    path = tmp_path / f'turned{suffix}'
    turned(path)
    assert cv2.imread(str(path)).shape == (80, 64, 3)  # OpenCV would turn it
    assert read_visible(path).shape == (64, 80, 3)
    assert read_infrared(path).shape == (64, 80)
    assert probe_image(path) == ((80, 64), '')


def test_cmyk_is_read_as_by_opencv(tmp_path):
    image_module = pytest.importorskip('PIL.Image')
    pixels = np.random.randint(0, 255, (8, 10, 4), dtype=np.uint8)
    image_module.fromarray(np.kron(pixels, np.ones((8, 8, 1), np.uint8)), 'CMYK').save(tmp_path / 'a.jpg')
    assert np.array_equal(read_visible(tmp_path / 'a.jpg'), cv2.imread(str(tmp_path / 'a.jpg')))


def test_what_is_no_file_is_named_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'loop.jpg').symlink_to('loop.jpg')
    for name, message in {
        'pipe.jpg': r'pipe\.jpg: not a regular file, wanted the visible image',
        'loop.jpg': r'loop\.jpg: a symbolic link that leads back to itself',
        'x' * 300: 'the name is too long',
    }.items():
        with pytest.raises(InputError, match=message):
            read_visible(tmp_path / name)
        assert probe_image(tmp_path / name) == (None, 'missing')


def test_probing_tells_what_is_wrong_without_decoding(tmp_path):
    data = real_jpeg(tmp_path / 'a.jpg')
    long_header = data[:2] + (b'\xff\xe1\xff\xff' + bytes(65533)) * 2 + data[2:]
    png = cv2.imencode('.png', np.zeros((64, 80), np.uint8))[1].tobytes()
    bmp = cv2.imencode('.bmp', np.zeros((64, 80), np.uint8))[1].tobytes()
    for content, expected in [
        (data, ((320, 256), '')),
        (data + b'camera notes' * 1000, ((320, 256), '')),
        (long_header, ((320, 256), '')),
        (data[:-400], (None, 'truncated')),
        (data[:300], (None, 'truncated')),
        (png, ((80, 64), '')),
        (png[:-20], (None, 'truncated')),
        (png[:20], (None, 'truncated')),
        (bmp, ((80, 64), '')),
        (b'text', (None, 'unreadable')),
        (b'', (None, 'empty')),
    ]:
        (tmp_path / 'b').write_bytes(content)
        assert probe_image(tmp_path / 'b') == expected


@pytest.mark.parametrize(
    'window', [(3000, 1000), (5, 5), (1, 2, 3), (1,), 7, '12', (0, float('nan')), (None, 3), (False, True)]
)
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_a_window_is_two_numbers_in_order(window, dtype):
    with pytest.raises(InputError, match=r'window=.*: wanted \(low, high\)'):
        to_8bit(np.zeros((2, 2), dtype), window)
