"""Keeping two sources in step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

from mmslg.streams.frames import Frame, FrameSource

WINDOW = 25
"""Pairs over which the offset between the sources is taken, by its median."""


class FramePair(NamedTuple):
    """Two frames of the same moment.

    Attributes:
        visible: Frame of the visible source.
        infrared: Frame of the infrared one.
        offset: How much later the infrared one is, in units of ``Frame.time``; None without times.
    """

    visible: Frame
    infrared: Frame
    offset: float | None = None


class _Side:
    """A source with the frame that is next, and a look at the one behind it."""

    def __init__(self, modality: str, source: FrameSource) -> None:
        self.modality, self.source = modality, source
        self.frame: Frame | None = None
        self.dropped = 0
        self._behind: Frame | None = None

    def advance(self) -> Frame | None:
        self.frame, self._behind = self._behind or self.source.read(), None
        return self.frame

    def drop(self) -> None:
        self.dropped += 1
        self.advance()

    def look_behind(self) -> Frame | None:
        if self._behind is None and not self.source.live:  # a live one would have to be waited for
            self._behind = self.source.read()
        return self._behind

    def left(self) -> int | None:
        count = self.source.left()
        return None if count is None else count + (self.frame is not None) + (self._behind is not None)


class FramePairs:
    """Pairs of frames of the same moment, from two sources.

    Where both sources have times on the same clock, the frames nearest in time are a pair, each frame once,
    so that pairs come at the rate of the slower source; a frame without a partner within ``tolerance`` is
    dropped and counted. Elsewhere frames are paired in their order.

    Args:
        visible: The visible source.
        infrared: The infrared source.
        tolerance: Largest offset of a pair, in units of ``Frame.time``; None takes half a period of the
            slower source.
        say: Takes the lines about what is amiss, each once.
    """

    def __init__(
        self,
        visible: FrameSource,
        infrared: FrameSource,
        tolerance: float | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self._sides = _Side('visible', visible), _Side('infrared', infrared)
        self._say = say
        rates = [source.rate for source in (visible, infrared)]
        self.timed = visible.timed and infrared.timed
        self.by_time = visible.clock is not None and visible.clock == infrared.clock
        if self.by_time and visible.clock == 'number' and set(visible.numbers).isdisjoint(infrared.numbers):
            self.by_time = False
            say('the folders have no number in common; frames are paired in their order')
        self.rate = min(filter(None, rates), default=None) if self.timed else None
        self._tolerance = tolerance if tolerance is not None else 0.5 / (min(filter(None, rates), default=10))
        self._tolerance *= 1 + 1e-6
        self.live = visible.live or infrared.live
        self._first: list[float] = []
        self._last: deque[float] = deque(maxlen=WINDOW)
        self._largest = 0.0
        self._drift_said = False
        self._say_how(*rates)

    @property
    def dropped(self) -> dict[str, int]:
        """Frames without a partner or lost so far, by modality; those behind the end do not count."""
        return {side.modality: side.dropped + side.source.dropped for side in self._sides}

    def _say_how(self, visible: float | None, infrared: float | None) -> None:
        rates_known = self.timed and visible and infrared
        if rates_known and abs(visible - infrared) > 1e-3 * visible:
            end = 'frames nearest in time are paired, the others dropped'
            if not self.by_time:
                end = 'without time stamps they are paired in their order and fall out of step'
            self._say(f'visible has {visible:.4g} frames a second, infrared {infrared:.4g}: {end}')
        elif not self.by_time:
            self._say('the sources have no time stamps in common: frames are paired in their order')

    def __iter__(self) -> Iterator[FramePair]:
        """Yield pairs until one source ends; then say what the other has left."""
        visible, infrared = self._sides
        visible.advance()
        infrared.advance()
        while visible.frame and infrared.frame:
            pair = self._match(visible, infrared)
            if pair is not None:
                visible.advance()
                infrared.advance()
                yield pair
        self._say_end()

    def _match(self, visible: _Side, infrared: _Side) -> FramePair | None:
        """Return the pair of both next frames, or drop the earlier one that has no partner."""
        if not self.by_time:
            return FramePair(visible.frame, infrared.frame)
        offset = infrared.frame.time - visible.frame.time
        early, late = (visible, infrared) if offset > 0 else (infrared, visible)
        behind = early.look_behind() if offset else None
        is_nearest = behind is None or abs(behind.time - late.frame.time) >= abs(offset)
        if not is_nearest or abs(offset) > self._tolerance:
            early.drop()
            return None
        self._watch(offset)
        return FramePair(visible.frame, infrared.frame, offset)

    def _watch(self, offset: float) -> None:
        """Keep what :meth:`remarks` tells, and say once that the sources drift."""
        self._largest = max(self._largest, abs(offset))
        self._last.append(offset)
        if len(self._first) < WINDOW:
            self._first.append(offset)
        elif not self._drift_said and abs(self._drift()) > self._tolerance / 2:
            self._drift_said = True
            self._say(f'the sources drift: {self._amount(self._drift())} since the start')

    def _drift(self) -> float:
        return median(self._last) - median(self._first)

    def _amount(self, offset: float) -> str:
        return f'{offset * 1000:+.1f} ms' if self.timed else f'{offset:+g} frames'

    def _say_end(self) -> None:
        for side, other in (self._sides, self._sides[::-1]):
            missing = side.source.left()
            if side.frame is None and missing:
                self._say(f'{side.modality} ended {missing} frames before its header says')
            left = other.left()
            if side.frame is None and left != 0 and other.frame is not None:
                count = 'further frames' if left is None else f'{left} more frame{"s"[: left != 1]}'
                self._say(f'{side.modality} ended first: {other.modality} has {count}, which have no partner')

    def left(self) -> int | None:
        """Return how many pairs are still to come at most, None if unknown."""
        counts = [side.left() for side in self._sides if side.left() is not None]
        return min(counts, default=None)

    def remarks(self) -> list[str]:
        """Return lines on the offsets between the sources and on what was dropped."""
        lines = [remark for side in self._sides for remark in side.source.remarks()]
        if self._largest:
            first, last = (self._amount(median(offsets)) for offsets in (self._first, self._last))
            lines.append(
                f'infrared is {first} behind visible at the start, {last} at the end, at most '
                f'{self._amount(self._largest).lstrip("+")} apart'
            )
        counts = ', '.join(f'{count} {modality}' for modality, count in self.dropped.items())
        return [*lines, f'frames without a partner or dropped: {counts}']

    def close(self) -> None:
        """Close both sources."""
        for side in self._sides:
            side.source.close()
