"""The newest frame of a camera that does not wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mmslg.errors import InputError
from mmslg.streams.frames import Frame, FrameSource


class LiveSource(FrameSource):
    """Read a live source in a thread and hand out its newest frame; those in between are dropped.

    Network streams queue frames that nobody reads: without this, detection falls ever further behind.
    A source that ends is opened again, since a camera that was lost often comes back; its frames are counted
    on.

    Args:
        source: The live source.
        reopen: Opens it again; None leaves it at its end.
        patience: Seconds for which that is tried.
        interval: Seconds between two tries.
    """

    live = True

    def __init__(
        self,
        source: FrameSource,
        reopen: Callable[[], FrameSource] | None = None,
        patience: float = 0.0,
        interval: float = 1.0,
    ) -> None:
        self.name, self.clock, self.rate, self.timed = source.name, source.clock, source.rate, source.timed
        self._source = source
        self._reopen, self._patience, self._interval = reopen, patience, interval
        self._newest: Frame | None = None
        self._ended = False
        self._closing = threading.Event()
        self._next = 0
        self._lost = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._follow, name=f'frames of {self.name}', daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        frame: Frame | None = None
        while not self._ended:
            try:
                frame = self._source.read() or self._found_again()
                if frame is not None:
                    frame = frame._replace(number=self._next)
                    self._next += 1
            finally:
                with self._changed:
                    self.dropped += frame is not None and self._newest is not None
                    self._newest = frame or self._newest
                    self._ended |= frame is None
                    self._changed.notify_all()
                    frame = None

    def _found_again(self) -> Frame | None:
        """Return a frame of the source opened anew, None if it does not come back in time."""
        end = time.monotonic() + self._patience
        while self._reopen is not None and time.monotonic() < end and not self._closing.is_set():
            self._source.close()
            try:
                self._source = self._reopen()
                frame = self._source.read()
            except InputError:
                frame = None
            if frame is not None:
                self._lost += 1
                return frame
            self._closing.wait(self._interval)
        return None

    def remarks(self) -> list[str]:
        """Say how often the source was lost."""
        return [f'{self.name}: lost and found again {self._lost} times'] if self._lost else []

    def read(self) -> Frame | None:
        """Return the newest frame that was not read yet; wait for one."""
        with self._changed:
            while self._newest is None and not self._ended:
                self._changed.wait(0.5)  # an interrupt is seen in between
            frame, self._newest = self._newest, None
            return frame

    def close(self) -> None:
        """Stop reading and let go of the device."""
        self._ended = True
        self._closing.set()
        self._thread.join(timeout=5)
        if not self._thread.is_alive():  # a network stream that hangs would crash if released under it
            self._source.close()
