"""Whatever OpenCV opens as the frames of a camera: video files, devices, network streams."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable

import cv2

from mmslg.errors import InputError
from mmslg.streams.frames import Frame, FrameSource


class CaptureSource(FrameSource):
    """Frames of a video file, a device or a network stream.

    A file's frames have the time stamps that the file holds, or, without them, those of its rate. A live
    source's frames have the time of day at which they came.

    Args:
        address: File, number of a device, or address such as ``rtsp://...``.
        infrared: Whether frames are infrared: they become grey.
        now: Time of day in seconds, for live sources.

    Raises:
        InputError: OpenCV cannot open it.
    """

    def __init__(self, address: str, infrared: bool, now: Callable[[], float] = time.time) -> None:
        self.name = without_password(address)
        is_device = bool(re.fullmatch(r'\d{1,4}', address))
        self._capture = cv2.VideoCapture(int(address) if is_device else address)
        if not self._capture.isOpened():
            raise InputError(
                f'{self.name}: OpenCV cannot open it; wanted a video file, a folder of numbered images, the '
                'number of a camera such as 0, or an address such as rtsp://...'
            )
        self._infrared = infrared
        self._now = now
        self._count = 0
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if math.isfinite(rate) and 0.01 < rate < 1000 else None
        length = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._length = int(length) if math.isfinite(length) and length > 0 else None
        self.live = is_device or (not os.path.isfile(address) and self._length is None)
        self._stamped = True
        self._last = -1.0
        self.clock = 'wall' if self.live else None if self.rate is None else 'start'

    def read(self) -> Frame | None:
        """Return the next frame; of a live source, wait for it."""
        found, image = self._capture.read()
        if not found or image is None:
            return None
        if self._infrared and image.ndim == 3:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        number = self._count
        self._count += 1
        return Frame(image, number, self._now() if self.live else self._stamp(number))

    def _stamp(self, number: int) -> float | None:
        """Return the file's time stamp, or, once one does not advance, the time by the rate."""
        if self.rate is None:
            return None
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not math.isfinite(stamp) or (number and stamp <= self._last):
            self._stamped = False
        self._last = stamp
        return stamp if self._stamped else number / self.rate

    def left(self) -> int | None:
        """Return how many frames are still to come, as the file's header tells."""
        return None if self._length is None else max(self._length - self._count, 0)

    def close(self) -> None:
        """Let go of the device or file."""
        self._capture.release()


def without_password(address: str) -> str:
    """Return an address without the user and password in it, for messages."""
    return re.sub(r'(?<=://)[^/@\s]+@', '', address)
