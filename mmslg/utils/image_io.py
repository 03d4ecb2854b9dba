"""Reading the two images of a pair from files, with every failure named.

OpenCV and libjpeg decode a damaged JPEG with a warning and paint what is missing; here that is an error.
Pixels are taken as stored: an orientation in the EXIF data is ignored in both images, since boxes are
annotated on stored pixels, and the two images of a pair must not be turned apart.
"""

from __future__ import annotations

import math
import os
import stat
import struct
from collections.abc import Sequence

import cv2
import numpy as np
import simplejpeg

from mmslg.errors import InputError
from mmslg.utils.os_errors import explain

Image = str | os.PathLike | np.ndarray
"""A file, or the image itself."""

MAX_PIXELS = 2**28
"""Largest image that is decoded, about 16000x16000; a header that promises more is not believed."""

_JPEG_START = b'\xff\xd8'
_JPEG_SCAN = b'\xff\xda'
_JPEG_END = b'\xff\xd9'
_PNG_START = b'\x89PNG\r\n\x1a\n'
_HEAD = 65536
_TAIL = 4096


def _is_cut(data: bytes) -> bool:
    """Tell whether a JPEG ends early.

    Entropy-coded data never holds these markers, so an end must follow the last scan's start.
    """
    return data.startswith(_JPEG_START) and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN)


def _header(data: bytes) -> tuple[int, int, str] | None:
    """Read width, height and, of a JPEG, colour space from the start of a JPEG or PNG file.

    None stands for another format, or a header that this cannot read.
    """
    if data.startswith(_JPEG_START):
        try:
            height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        except ValueError:
            return None
        return width, height, space
    if data.startswith(_PNG_START) and len(data) >= 24:
        return *struct.unpack('>II', data[16:24]), ''
    return None


def _read(path: str | os.PathLike, what: str) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(f'{path}: not a regular file, wanted the {what} image of a pair')
        with open(path, 'rb') as file:
            data = file.read()
    except FileNotFoundError:
        raise InputError(f'{path}: no such file, wanted the {what} image of a pair') from None
    except OSError as error:
        raise InputError(explain(error, path) or f'{path}: {error}') from None
    except ValueError as error:  # a NUL in the name
        raise InputError(f'{os.fspath(path)!r}: no name of a file ({error})') from None
    if not data:
        raise InputError(f'{path}: the {what} image is empty (0 bytes); get the file again')
    return data


def _decode(path: str | os.PathLike, what: str, colour: bool) -> np.ndarray:
    """Decode a file to BGR; if ``colour`` is not forced, grey stays grey and 16 bits stay 16."""
    data = _read(path, what)
    if _is_cut(data):
        raise InputError(f'{path}: the {what} JPEG is truncated ({len(data)} bytes); get the file again')
    width, height, space = _header(data) or (0, 0, '')
    if width * height > MAX_PIXELS:
        raise InputError(
            f'{path}: the {what} image claims {width}x{height} pixels, wanted at most {MAX_PIXELS}; get the '
            'file again'
        )
    if space and space not in ('CMYK', 'YCCK'):
        return _decode_jpeg(data, path, what, 'BGR' if colour or space != 'Gray' else 'GRAY')
    flags = cv2.IMREAD_COLOR if colour else cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:  # a size beyond OpenCV's own limit, or a format's decoder fell over
        image = None
    if image is None:
        raise InputError(f'{path}: the {what} image cannot be decoded ({len(data)} bytes)')
    return image


def _decode_jpeg(data: bytes, path: str | os.PathLike, what: str, space: str) -> np.ndarray:
    try:
        image = simplejpeg.decode_jpeg(data, space)  # strict: a warning of libjpeg is an error
    except ValueError as error:
        raise InputError(f'{path}: the {what} JPEG is damaged ({error}); get the file again') from None
    return image[..., 0] if space == 'GRAY' else image


def probe_image(path: str | os.PathLike) -> tuple[tuple[int, int] | None, str]:
    """Look at the header and the end of an image file; JPEG and PNG are not decoded.

    Returns:
        ``((width, height), '')`` of a file that looks whole, or ``(None, problem)`` with ``missing``,
        ``empty``, ``truncated``, ``too large`` or ``unreadable``.
    """
    if not os.path.isfile(path):
        return None, 'missing'
    with open(path, 'rb') as file:
        head = file.read(_HEAD)
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - _TAIL))
        tail = file.read()
        file.seek(0)
        if not head:
            return None, 'empty'
        if head.startswith(_PNG_START):
            whole, found = b'IEND' in tail, _header(head)
        elif head.startswith(_JPEG_START):
            whole, found = _JPEG_END in tail, _header(head)
            if not whole or found is None:  # bytes behind the end, or a long header
                data = file.read()
                whole, found = _JPEG_SCAN in data and not _is_cut(data), _header(data)
        else:
            whole, found = True, _size_by_decoding(file.read())
    if not whole:
        return None, 'truncated'
    width, height = found[:2] if found else (0, 0)
    if width * height > MAX_PIXELS:
        return None, 'too large'
    return ((width, height), '') if width * height else (None, 'unreadable')


def _size_by_decoding(data: bytes) -> tuple[int, int] | None:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    return None if image is None else image.shape[1::-1]


def _cut(image: np.ndarray, crop: Sequence[int] | None, path: str | os.PathLike) -> np.ndarray:
    if crop is None:
        return image
    x, y, width, height = crop
    if image.shape[0] < y + height or image.shape[1] < x + width:
        raise InputError(
            f'{path}: the image is {image.shape[1]}x{image.shape[0]} pixels, and crop={list(crop)} (x, y, '
            'width, height) reaches beyond; convert the annotations again for these images'
        )
    return np.ascontiguousarray(image[y : y + height, x : x + width])


def read_visible(image: Image, crop: Sequence[int] | None = None) -> np.ndarray:
    """Read a visible image.

    Args:
        image: File, or the image, which is checked.
        crop: x, y, width, height in pixels of what counts of the file; None is all of it.

    Returns:
        BGR image ``(H, W, 3)``, uint8.

    Raises:
        InputError: The file is missing, empty, truncated, damaged, no image, of too many pixels, or smaller
            than the crop.
    """
    if not isinstance(image, np.ndarray):
        return _cut(_decode(image, 'visible', colour=True), crop, image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(f'wanted a visible image (H, W, 3), uint8, got {image.shape}, {image.dtype}')
    return _cut(image, crop, 'the visible image')


def read_infrared(image: Image, crop: Sequence[int] | None = None) -> np.ndarray:
    """Read an infrared image of 8 or 16 bits; equal colour channels are folded into one.

    Args:
        image: File, or the image ``(H, W)`` or ``(H, W, 3)``, which is checked.
        crop: x, y, width, height in pixels of what counts of the file; None is all of it.

    Returns:
        Image ``(H, W)``, uint8 or uint16 as stored.

    Raises:
        InputError: The file is missing, empty, truncated, damaged, no image, of too many pixels or of another
            pixel type, or smaller than the crop.
    """
    pixels, name = image, 'the infrared image'
    if not isinstance(image, np.ndarray):
        pixels, name = _decode(image, 'infrared', colour=False), image
    elif image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or not image.size:
        raise InputError(f'wanted an infrared image (H, W) or (H, W, 3), got {image.shape}')
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(f'{name}: wanted an infrared image of 8 or 16 bits, got {pixels.dtype}')
    return _cut(pixels, crop, name)


def to_8bit(infrared: np.ndarray, window: tuple[float, float] | None = None) -> np.ndarray:
    """Map an infrared image to 0-255.

    Args:
        infrared: Image ``(H, W)``, uint8 or uint16. An 8-bit image without a window is returned as it is.
        window: Raw counts that become 0 and 255. None takes the 0.1 and 99.9 percentiles of this
            image, which makes every image use the whole range but loses absolute temperature.

    Returns:
        Image ``(H, W)``, uint8.

    Raises:
        InputError: ``window`` is not two numbers, the lower one first.
    """
    if window is not None:
        check_window(window)
    if infrared.dtype == np.uint8 and window is None:
        return infrared
    low, high = np.percentile(infrared, (0.1, 99.9)) if window is None else window
    scaled = (infrared.astype(np.float32) - low) * (255.0 / max(high - low, 1.0))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def check_window(window: object) -> None:
    """Raise InputError unless ``window`` is (low, high), two finite numbers of which low is lower."""
    numbers = list(window) if isinstance(window, (tuple, list)) else []
    valid = len(numbers) == 2 and all(
        isinstance(n, (int, float)) and not isinstance(n, bool) and math.isfinite(n) for n in numbers
    )
    if not valid or not numbers[0] < numbers[1]:
        raise InputError(f'window={window!r}: wanted (low, high), raw counts of which low is lower, or None')


def same_aspect(first: Sequence[int], second: Sequence[int]) -> bool:
    """Whether two images (H, W, ...) have one aspect, up to a pixel of the smaller one."""
    (h, w), (other_h, other_w) = first[:2], second[:2]
    return abs(h * other_w - w * other_h) <= max(h, w, other_h, other_w)


def resize_to(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Scale an image ``(H, W)`` to the height and width that ``shape`` begins with."""
    height, width = shape[:2]
    smaller = height < image.shape[0]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


GRAY = 3
"""Levels that the channels of a gray image differ by at most, in all but a twentieth of it: JPEG's noise."""


def looks_swapped(visible: Image, infrared: Image) -> bool:
    """Whether the visible image is gray and the infrared one in colour; files are decoded at an eighth."""
    return _spread(visible) <= GRAY < _spread(infrared)


def _spread(image: Image) -> float:
    if not isinstance(image, np.ndarray):
        try:
            image = cv2.imread(os.fspath(image), cv2.IMREAD_REDUCED_COLOR_8)
        except cv2.error:  # fewer than eight pixels on a side
            image = cv2.imread(os.fspath(image))
    if image is None or image.ndim != 3 or not image.size:
        return 0.0
    small = image[::4, ::4].astype(np.int32)
    return float(np.percentile(np.ptp(small, axis=2), 95))
