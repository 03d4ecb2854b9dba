"""Detection in many pairs, of which some are of no use: each gives detections or the reason why not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mmdet.structures import DetDataSample

from mmslg.apis.pair_inferencer import Pair, PairInferencer
from mmslg.errors import InputError
from mmslg.utils.cli import one_line
from mmslg.utils.image_io import looks_swapped

SWAPPED = (
    'the visible image is gray and the infrared one in colour, so the two look swapped; swap them, or say '
    '--no-swap-check'
)


class Outcome(NamedTuple):
    """What came of a pair.

    Attributes:
        pair: The pair.
        sample: Its detections, None if there is a problem.
        problem: Why there are none, in one line.
    """

    pair: Pair
    sample: DetDataSample | None
    problem: str = ''


def detect_in_many(
    inferencer: PairInferencer,
    pairs: Iterable[Pair],
    batch_size: int = 1,
    score_thr: float = 0.3,
    check_swapped: bool = True,
) -> Iterator[Outcome]:
    """Detect in pairs, and go on where one cannot be used.

    Args:
        inferencer: The detector.
        pairs: What to detect in.
        batch_size: Pairs that go through the model at once.
        score_thr: Lowest score that is kept.
        check_swapped: Whether a pair whose images look swapped is a problem.

    Yields:
        An outcome a pair, in order.

    Raises:
        InputError: A batch cannot be used by the model at all.
    """
    waiting: list[tuple[Pair, dict | str]] = []
    for pair in pairs:
        waiting.append((pair, _pack(inferencer, pair, check_swapped)))
        if sum(isinstance(packed, dict) for _, packed in waiting) == batch_size:
            yield from _detect(inferencer, waiting, score_thr)
            waiting = []
    yield from _detect(inferencer, waiting, score_thr)


def _pack(inferencer: PairInferencer, pair: Pair, check_swapped: bool) -> dict | str:
    """Return a pair as the model takes it, or what is wrong with it."""
    try:
        packed = inferencer.pack(pair)
    except InputError as error:
        return one_line(error)
    return SWAPPED if check_swapped and looks_swapped(*pair[:2]) else packed


def _detect(
    inferencer: PairInferencer, waiting: list[tuple[Pair, dict | str]], score_thr: float
) -> Iterator[Outcome]:
    ready = [packed for _, packed in waiting if isinstance(packed, dict)]
    samples = iter(inferencer.predict_packed(ready, score_thr) if ready else ())
    for pair, packed in waiting:
        if isinstance(packed, str):
            yield Outcome(pair, None, packed)
        else:
            yield Outcome(pair, next(samples))
