"""Size and completeness of an image file, without decoding it."""

from __future__ import annotations

import os
import struct

import cv2
import numpy as np

_SOF = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_TAIL = 4096


def probe_image(path: str | os.PathLike) -> tuple[tuple[int, int] | None, str]:
    """Look at the header and the end of an image file.

    Returns:
        ``((width, height), '')`` of a file that looks whole, or ``(None, problem)`` with ``missing``,
        ``empty``, ``truncated`` or ``unreadable``.
    """
    if not os.path.isfile(path):
        return None, 'missing'
    with open(path, 'rb') as file:
        head = file.read(65536)
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - _TAIL))
        tail = file.read()
        if not head:
            return None, 'empty'
        if head.startswith(b'\xff\xd8'):
            whole = b'\xff\xd9' in tail
            if length > len(head) and (not whole or _jpeg_size(head) is None):
                file.seek(0)
                head = file.read()
            whole = whole or head.rfind(b'\xff\xd9') > head.rfind(b'\xff\xda') >= 0
            size = _jpeg_size(head)
            if size is None:
                return None, 'unreadable' if whole else 'truncated'
            return (size, '') if whole else (None, 'truncated')
        if head.startswith(b'\x89PNG\r\n\x1a\n'):
            if len(head) < 24 or b'IEND' not in tail:
                return None, 'truncated'
            return struct.unpack('>II', head[16:24]), ''
        file.seek(0)
        data = file.read()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return (None, 'unreadable') if image is None else ((image.shape[1], image.shape[0]), '')


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk the segments to the frame header."""
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _SOF:
            height, width = struct.unpack('>HH', data[at + 5 : at + 9])
            return (width, height) if width and height else None
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + struct.unpack('>H', data[at + 2 : at + 4])[0]
    return None
