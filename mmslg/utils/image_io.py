"""Reading the two images of a pair from files, with every failure named.

OpenCV decodes a truncated JPEG without a word and paints the rest grey; here it is an error.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np

from mmslg.errors import InputError

_JPEG_START = b'\xff\xd8'
_JPEG_SCAN = b'\xff\xda'
_JPEG_END = b'\xff\xd9'


def _decode(path: str | os.PathLike, what: str, flags: int) -> np.ndarray:
    try:
        with open(path, 'rb') as file:
            data = file.read()
    except FileNotFoundError:
        raise InputError(f'{path}: no such file, wanted the {what} image of a pair') from None
    if not data:
        raise InputError(f'{path}: the {what} image is empty (0 bytes); get the file again')
    # Entropy-coded data never holds these markers, so an end must follow the last scan's start.
    if data.startswith(_JPEG_START) and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN):
        raise InputError(f'{path}: the {what} JPEG is truncated ({len(data)} bytes); get the file again')
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise InputError(f'{path}: the {what} image cannot be decoded ({len(data)} bytes)')
    return image


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


def read_visible(path: str | os.PathLike, crop: Sequence[int] | None = None) -> np.ndarray:
    """Read a visible image.

    Args:
        path: File.
        crop: x, y, width, height in pixels of what counts of the file; None is all of it.

    Returns:
        BGR image ``(H, W, 3)``, uint8.

    Raises:
        InputError: The file is missing, empty, truncated, no image, or smaller than the crop.
    """
    return _cut(_decode(path, 'visible', cv2.IMREAD_COLOR), crop, path)


def read_infrared(path: str | os.PathLike, crop: Sequence[int] | None = None) -> np.ndarray:
    """Read an infrared image of 8 or 16 bits; equal colour channels are folded into one.

    Args:
        path: File.
        crop: x, y, width, height in pixels of what counts of the file; None is all of it.

    Returns:
        Image ``(H, W)``, uint8 or uint16 as stored.

    Raises:
        InputError: The file is missing, empty, truncated, no image, of another pixel type, or smaller
            than the crop.
    """
    image = _decode(path, 'infrared', cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f'{path}: wanted an infrared image of 8 or 16 bits, got {image.dtype}')
    return _cut(image, crop, path)


def to_8bit(infrared: np.ndarray, window: tuple[float, float] | None = None) -> np.ndarray:
    """Map an infrared image to 0-255.

    Args:
        infrared: Image ``(H, W)``, uint8 or uint16. An 8-bit image without a window is returned as it is.
        window: Raw counts that become 0 and 255. None takes the 0.1 and 99.9 percentiles of this
            image, which makes every image use the whole range but loses absolute temperature.

    Returns:
        Image ``(H, W)``, uint8.
    """
    if infrared.dtype == np.uint8 and window is None:
        return infrared
    low, high = np.percentile(infrared, (0.1, 99.9)) if window is None else window
    scaled = (infrared.astype(np.float32) - low) * (255.0 / max(high - low, 1.0))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
