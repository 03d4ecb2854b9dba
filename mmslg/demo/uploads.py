"""Images that somebody sends to the page: bounded, read once, deleted at once."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmslg.captions.schema import one_line
from mmslg.errors import InputError
from mmslg.utils.image_io import read_infrared, read_visible

MAX_BYTES = 32 * 2**20
"""Largest file that is taken."""
MAX_PIXELS = 2**24
"""Largest image that is decoded, 4096x4096."""
MAX_AGE = 600.0
"""Seconds after which an upload that nobody asked for is deleted."""
FORMATS = ('JPEG', 'PNG', 'TIFF', 'BMP', 'WEBP')

_READERS = {'visible': read_visible, 'infrared': read_infrared}


class Upload(NamedTuple):
    """An image that was sent: its name, and its pixels as the readers of a pair give them."""

    name: str
    image: np.ndarray


def take_upload(path: str, folder: str | os.PathLike, modality: str) -> Upload:
    """Read an uploaded image and delete its file, whether it could be read or not.

    Args:
        path: The file, in ``folder``.
        folder: Where uploads lie; nothing outside it is read.
        modality: ``'visible'`` or ``'infrared'``.

    Raises:
        InputError: It is no image, has too many bytes or pixels, or lies elsewhere.
    """
    file, root = Path(path).resolve(), Path(folder).resolve()
    name = one_line(file.name)
    if root not in file.parents:
        raise InputError(f'{name}: this is no upload; choose a file on your computer')
    try:
        return Upload(name, _read(file, name, modality))
    finally:
        file.unlink(missing_ok=True)
        if file.parent != root and not any(file.parent.iterdir()):
            file.parent.rmdir()


def read_image(file: Path, modality: str) -> np.ndarray:
    """Read an image whose header promises no more than :data:`MAX_PIXELS`.

    Raises:
        InputError: It promises more, or is no image.
    """
    width, height = _header_size(file)
    if width * height > MAX_PIXELS:
        megapixels = width * height / 1e6
        raise InputError(
            f'{file}: {width}x{height} are {megapixels:.0f} megapixels, the page takes at most '
            f'{MAX_PIXELS / 1e6:.0f}; send a smaller image'
        )
    return _READERS[modality](file)


def _read(file: Path, name: str, modality: str) -> np.ndarray:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f'{file}: larger than {MAX_BYTES // 2**20} MB; send a smaller file')
        return read_image(file, modality)
    except FileNotFoundError:
        raise InputError(f'{name}: the upload is gone; send it again') from None
    except InputError as error:
        raise InputError(str(error).replace(str(file), name)) from None


def _header_size(file: Path) -> tuple[int, int]:
    """Return width and height as the header says; nothing is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                return image.size
    except Image.DecompressionBombError:
        raise InputError(
            f'{file}: more than {MAX_PIXELS / 1e6:.0f} megapixels; send a smaller image'
        ) from None
    except FileNotFoundError:
        raise
    except Exception:  # whatever a decoder makes of bytes that nobody vouches for
        raise InputError(f'{file}: this is no image; wanted one of {", ".join(FORMATS)}') from None


def folder_bytes(folder: str | os.PathLike) -> int:
    """Delete uploads that are older than :data:`MAX_AGE`; return how many bytes the others have."""
    total = 0
    for parent, _, names in os.walk(folder):
        for file in (Path(parent, name) for name in names):
            try:
                status = file.stat()
                if time.time() - status.st_mtime > MAX_AGE:
                    file.unlink()
                else:
                    total += status.st_size
            except FileNotFoundError:
                continue
    return total
