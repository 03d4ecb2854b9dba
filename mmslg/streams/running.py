"""The loop of a stream: frames in step, the newest caption, detection, tracks, outputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import cv2
from mmdet.structures import DetDataSample

from mmslg.apis.pair_inferencer import Pair
from mmslg.streams.async_captions import AsyncCaptions, Caption
from mmslg.streams.frame_pairs import FramePair, FramePairs
from mmslg.streams.interrupts import finished_first
from mmslg.streams.outputs import StreamResult
from mmslg.streams.tracking import Tracker


class Output(Protocol):
    """What takes the results of a stream, pair by pair."""

    def write(self, result: StreamResult) -> None:
        """Take the result of the next pair."""


class StreamRun:
    """Detect in a stream of pairs.

    Args:
        pairs: The pairs of frames.
        detect: Returns the detections of a pair, in pixels of its visible image; its ``caption`` is that in
            use.
        captions: Writes captions beside detection.
        use_caption: Called once with each new caption, before it is first used.
        tracker: Gives detections their identities.
        outputs: Take each pair's result.
        score_thr: Lowest score that is kept, but for weaker detections that continue a track.
        clock: Seconds that never go back.

    Attributes:
        count: Pairs done.
        seconds: What they took.
    """

    def __init__(
        self,
        pairs: FramePairs,
        detect: Callable[[Pair], DetDataSample],
        captions: AsyncCaptions | None = None,
        use_caption: Callable[[Caption], None] | None = None,
        tracker: Tracker | None = None,
        outputs: Sequence[Output] = (),
        score_thr: float = 0.3,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pairs, self._detect, self._captions, self._use_caption = pairs, detect, captions, use_caption
        self._tracker, self._outputs, self._score_thr, self._clock = tracker, outputs, score_thr, clock
        self._caption: Caption | None = None
        self.count = 0
        self.seconds = 0.0

    def run(self, limit: int | None = None, progress: Callable[[], object] = lambda: None) -> None:
        """Go on to the end of a source, or for ``limit`` pairs; a pair is done whole or not at all.

        Args:
            limit: Pairs, None for no limit.
            progress: Called after each pair.
        """
        start = self._clock()
        try:
            for pair in self._pairs:
                caption = self._newest_caption(pair)
                text = caption.text.to_dict() if caption else None
                name = str(pair.visible.number)
                sample = self._detect(Pair(pair.visible.image, pair.infrared.image, name, text))
                with finished_first():
                    self._hand_on(pair, sample, caption)
                    self.count += 1
                    progress()
                if self.count == limit:
                    return
        finally:
            self.seconds += self._clock() - start

    def _newest_caption(self, pair: FramePair) -> Caption | None:
        if self._captions is None:
            return None
        visible, infrared = pair.visible.image, pair.infrared.image
        if infrared.shape != visible.shape[:2]:
            infrared = cv2.resize(infrared, visible.shape[1::-1])
        newest = self._captions.step(self.count, visible, infrared)
        if newest is not self._caption:
            self._caption = newest
            if self._use_caption is not None:
                self._use_caption(newest)
        return newest

    def _hand_on(self, pair: FramePair, sample: DetDataSample, caption: Caption | None) -> None:
        found = sample.pred_instances.cpu()
        if self._tracker is None:
            found = found[found.scores >= self._score_thr]
        else:
            seconds = pair.visible.time if self._pairs.timed else None
            found = self._tracker.update(found, seconds)
            found = found[(found.scores >= self._score_thr) | (found.track_ids >= 0)]
        age = self._captions.age if self._captions else None
        result = StreamResult(self.count, pair, found, caption, age)
        for output in self._outputs:
            output.write(result)

    def remarks(self) -> list[str]:
        """Return the lines of the report at the end."""
        rate = f', {self.count / self.seconds:.2f} pairs/s' if self.seconds else ''
        lines = [f'{self.count} pairs in {self.seconds:.1f} s{rate}', *self._pairs.remarks()]
        return lines + (self._captions.remarks() if self._captions else [])
