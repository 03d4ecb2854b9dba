"""A progress line with rate and time left."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class Progress:
    """Reports a count to a stream: one line rewritten in place on a terminal, a line now and then else.

    Args:
        total: Count at the end.
        what: What is counted, in the plural.
        stream: Where to write; None is standard error.
        interval: Seconds between reports; None takes 0.2 on a terminal and 5 elsewhere.
    """

    def __init__(
        self, total: int, what: str, stream: TextIO | None = None, interval: float | None = None
    ) -> None:
        self.total = total
        self.what = what
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._interval = (0.2 if self._terminal else 5.0) if interval is None else interval
        self._start = self._last = time.monotonic()

    def update(self, done: int) -> None:
        """Report that ``done`` of ``total`` are through; the last one is always reported."""
        now = time.monotonic()
        if done < self.total and now - self._last < self._interval:
            return
        self._last = now
        rate = done / max(now - self._start, 1e-9)
        left = (self.total - done) / rate if rate else 0.0
        line = f'{done}/{self.total} {self.what}, {rate:.1f}/s, {_clock(left)} left'
        end = '\n' if done >= self.total or not self._terminal else ''
        start = '\r\x1b[K' if self._terminal else ''
        print(f'{start}{line}', end=end, file=self._stream, flush=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{seconds:02d}'
