"""What a source of frames is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np


class Frame(NamedTuple):
    """One frame of one camera.

    Attributes:
        image: BGR image ``(H, W, 3)``, uint8, or infrared image ``(H, W)``, uint8 or uint16.
        number: Its number: from 0 in videos, that of its name in folders.
        time: Seconds on its source's clock, or a number of frames where ``timed`` is false; None if unknown.
    """

    image: np.ndarray
    number: int
    time: float | None = None


class FrameSource(ABC):
    """Frames of one camera, in order.

    Attributes:
        name: What messages call it.
        clock: What ``Frame.time`` counts: ``'wall'`` (time of day), ``'start'`` (since the first frame) or
            ``'number'`` (numbers of names); None where frames have no time. Sources of one clock compare.
        rate: Frames in a unit of ``Frame.time``, None if unknown.
        timed: Whether that unit is a second.
        live: Whether frames are lost unless they are read in time.
        dropped: Frames that were lost so far, since nobody read them in time or they could not be read.
    """

    name: str
    clock: str | None = None
    rate: float | None = None
    timed: bool = True
    live: bool = False
    dropped: int = 0

    @abstractmethod
    def read(self) -> Frame | None:
        """Return the next frame, of a live source the newest, and None at the end, again and again."""

    def left(self) -> int | None:
        """Return how many frames are still to come, None if unknown."""
        return None

    def remarks(self) -> list[str]:
        """Return lines on what was tolerated so far."""
        return []

    def close(self) -> None:  # noqa: B027, most have nothing to let go of
        """Let go of the device or file."""
