"""The newest frame of a camera that does not wait."""

from __future__ import annotations

import threading

from mmslg.streams.frames import Frame, FrameSource


class LiveSource(FrameSource):
    """Read a live source in a thread and hand out its newest frame; those in between are dropped.

    Network streams queue frames that nobody reads: without this, detection falls ever further behind.

    Args:
        source: The live source.
    """

    live = True

    def __init__(self, source: FrameSource) -> None:
        self.name, self.clock, self.rate, self.timed = source.name, source.clock, source.rate, source.timed
        self._source = source
        self._newest: Frame | None = None
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._follow, name=f'frames of {self.name}', daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        frame: Frame | None = None
        while not self._ended:
            try:
                frame = self._source.read()
            finally:
                with self._changed:
                    self.dropped += frame is not None and self._newest is not None
                    self._newest = frame or self._newest
                    self._ended |= frame is None
                    self._changed.notify_all()
                    frame = None

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
        self._thread.join(timeout=5)
        if not self._thread.is_alive():  # a network stream that hangs would crash if released under it
            self._source.close()
