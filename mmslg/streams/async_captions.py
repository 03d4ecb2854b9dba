"""Captions that are written beside detection: the newest finished text counts, and nobody waits."""

from __future__ import annotations

import re
import time
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from mmslg.captions.schema import StructuredCaption
from mmslg.streams.caption_worker import Answer


class Interval(NamedTuple):
    """How often a caption is due: every so many pairs or seconds; the other is None."""

    pairs: int | None = None
    seconds: float | None = None


def parse_interval(text: str) -> Interval:
    """Read ``30`` (pairs) or ``2s``, ``0.5s`` (seconds).

    Raises:
        ArgumentTypeError: It is neither.
    """
    found = re.fullmatch(r'(\d{1,9})|(\d{1,9}(?:\.\d{1,9})?)s', text)
    if not found or not float(found[1] or found[2]):
        raise ArgumentTypeError(f'wanted pairs such as 30, or seconds such as 2s, got {text!r}')
    return Interval(int(found[1])) if found[1] else Interval(seconds=float(found[2]))


class Caption(NamedTuple):
    """A finished caption.

    Attributes:
        text: The four components.
        embedding: Its embedding ``(4, d)`` or ``(4, L, d)``, float32.
        asked: When its pair of images was handed to the captioner, in seconds of the clock.
    """

    text: StructuredCaption
    embedding: np.ndarray
    asked: float


class Worker(Protocol):
    """What answers requests beside detection, see :class:`~mmslg.streams.caption_worker.CaptionWorker`."""

    @property
    def idle(self) -> bool:
        """Whether a request would be worked on at once."""

    def submit(self, visible: np.ndarray, infrared: np.ndarray) -> None:
        """Ask for a caption."""

    def poll(self) -> Answer | None:
        """Return the answer if one has come."""

    def close(self) -> None:
        """End the work."""


class AsyncCaptions:
    """The newest finished caption of a stream.

    A caption is due every ``interval``; where the captioner is still busy with the one before, that one is
    dropped and counted. A captioner that has died is told once, and its last caption stays.

    Args:
        worker: Answers requests.
        interval: How often a caption is due.
        clock: Seconds that never go back.
        say: Takes the line about a captioner that has died.

    Attributes:
        current: The newest finished caption, None before the first.
        age: Seconds since the images of the current caption were handed over, at the last step.
        finished: Captions finished so far.
        failed: Requests that the captioner had no caption for.
        dropped: Captions that were due while the captioner was busy.
    """

    def __init__(
        self,
        worker: Worker,
        interval: Interval,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = print,
    ) -> None:
        self._worker, self._interval, self._clock, self._say = worker, interval, clock, say
        self.current: Caption | None = None
        self.finished = self.failed = self.dropped = 0
        self._alive = True
        self._asked = 0.0
        self._due: float | None = None
        self._reason = ''
        self.age: float | None = None
        self._used, self._total_age, self._oldest = 0, 0.0, 0.0

    def step(self, number: int, visible: np.ndarray, infrared: np.ndarray) -> Caption | None:
        """Return the caption for a pair, and ask for a new one if it is due.

        Args:
            number: Number of the pair, from 0.
            visible: BGR image ``(H, W, 3)``, uint8.
            infrared: Image ``(H, W)``, uint8 or uint16.

        Returns:
            The newest finished caption, None before the first.
        """
        now = self._clock()
        answer = self._worker.poll() if self._alive else None
        if answer is not None:
            self._take(answer)
        if self._alive and self._is_due(number, now):
            self._asked = now
            self._worker.submit(visible, infrared)
        if self.current is not None:
            self.age = now - self.current.asked
            self._used += 1
            self._total_age += self.age
            self._oldest = max(self._oldest, self.age)
        return self.current

    def _take(self, answer: Answer) -> None:
        if answer.caption is not None:
            self.finished += 1
            self.current = Caption(answer.caption, answer.embedding, self._asked)
        elif answer.dead:
            self._alive = False
            kept = 'its last caption stays' if self.current else 'detection goes on without a caption'
            self._say(f'the captioner has died: {answer.reason}; {kept}')
        else:
            self.failed += 1
            self._reason = answer.reason

    def _is_due(self, number: int, now: float) -> bool:
        """Return whether to ask now; count what was due while the captioner was busy."""
        position = number if self._interval.seconds is None else now
        step = self._interval.pairs or self._interval.seconds
        if self._due is None:  # nothing is due before the captioner is loaded
            if self._worker.idle:
                self._due = position + step
                return True
            return False
        if position < self._due:
            return False
        passed = int((position - self._due) / step)
        self._due += (passed + 1) * step
        self.dropped += passed + (not self._worker.idle)
        return self._worker.idle

    def remarks(self) -> list[str]:
        """Return lines on how many captions there were and how old they were in use."""
        counts = f'captions: {self.finished} finished, {self.dropped} dropped, {self.failed} failed'
        lines = [f'{counts} ({self._reason})' if self.failed else counts]
        if self._used:
            mean = self._total_age / self._used
            lines.append(f'caption age: {mean:.2f} s on average, {self._oldest:.2f} s at most')
        if not self._alive:
            lines.append('the captioner died')
        elif self._due is None:
            lines.append('the captioner was still loading at the end')
        return lines

    def close(self) -> None:
        """End the captioner."""
        self._worker.close()
