"""Numbered images of a folder as the frames of a camera."""

from __future__ import annotations

import os
import re
from pathlib import Path
from statistics import median

from mmslg.errors import InputError
from mmslg.streams.frames import Frame, FrameSource
from mmslg.utils.image_io import read_infrared, read_visible

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff')
STAMPS = {13: 1e3, 16: 1e6, 19: 1e9}
"""Digits of a number that counts milli-, micro- or nanoseconds since 1970, and how many make a second."""


class FolderSource(FrameSource):
    """Images of a folder in the order of the last number in their names.

    A number of 13, 16 or 19 digits is a time stamp in milli-, micro- or nanoseconds since 1970; any other is
    the number of the frame, so that a frame that is missing in one folder is known. A file that cannot be
    read is left out and counted.

    Args:
        folder: The folder; other files than images in it are not looked at.
        infrared: Whether the images are infrared: they may have 16 bits.
        rate: Frames a second, of numbers that are no time stamps; None if unknown.
        from_start: Count time from the first frame, not from number 0: to pair it with what is no folder.

    Raises:
        InputError: There is no image in the folder, or one without a number or with that of another.
    """

    def __init__(
        self, folder: str | os.PathLike, infrared: bool, rate: float | None = None, from_start: bool = False
    ) -> None:
        self.name = os.fspath(folder)
        self._read = read_infrared if infrared else read_visible
        self._files = _numbered(Path(folder))
        self._next = 0
        self._unreadable: list[str] = []
        self.numbers = list(self._files)
        digits = {len(_number(path)) for path in self._files.values()}
        stamped = len(digits) == 1 and digits <= set(STAMPS)
        self._unit = STAMPS[digits.pop()] if stamped else rate or 1.0
        self._origin = self.numbers[0] if from_start and not stamped else 0
        self.timed = stamped or rate is not None
        self.clock = 'wall' if stamped else 'number'
        if from_start and not stamped:
            self.clock = None if rate is None else 'start'
        self.rate = self._measured_rate() if stamped else self._unit

    def _measured_rate(self) -> float | None:
        steps = [(b - a) / self._unit for a, b in zip(self.numbers, self.numbers[1:])]
        return 1 / median(steps) if steps else None

    def read(self) -> Frame | None:
        """Return the next frame that can be read."""
        while self._next < len(self.numbers):
            number = self.numbers[self._next]
            self._next += 1
            try:
                image = self._read(self._files[number])
            except InputError as error:
                self.dropped += 1
                self._unreadable.append(str(error))
                continue
            time = (number - self._origin) / self._unit if self.clock else None
            return Frame(image, number, time)
        return None

    def left(self) -> int:
        """Return how many files are still to come."""
        return len(self.numbers) - self._next

    def remarks(self) -> list[str]:
        """Name the first file that could not be read."""
        if not self._unreadable:
            return []
        return [f'{self.name}: files that cannot be read: {len(self._unreadable)}; {self._unreadable[0]}']


def _number(path: Path) -> str:
    """Return the digits of the last number in a name."""
    found = re.findall(r'\d+', path.stem)
    if not found:
        raise InputError(f'{path}: wanted frames with a number in their names, such as 000123.png')
    return found[-1]


def _numbered(folder: Path) -> dict[int, Path]:
    """Return the images of a folder by number, in order."""
    files: dict[int, Path] = {}
    for path in folder.iterdir():
        if path.suffix.lower() in SUFFIXES and not path.name.startswith('.'):
            first = files.setdefault(int(_number(path)), path)
            if first != path:
                raise InputError(
                    f'{folder}: {min(first.name, path.name)} and {max(first.name, path.name)} have the same '
                    'number; keep the frames of one camera in a folder'
                )
    if not files:
        raise InputError(f'{folder}: no images, wanted numbered frames ({", ".join(SUFFIXES)})')
    return dict(sorted(files.items()))
