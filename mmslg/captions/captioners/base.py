"""What a captioner is.

Add your own with one class::

    from mmslg.captions.captioners.base import Captioner
    from mmslg.captions.schema import StructuredCaption
    from mmslg.registry import CAPTIONERS

    @CAPTIONERS.register_module(name='mine')
    class MyCaptioner(Captioner):
        version = '1'

        def caption(self, visible, infrared):
            return StructuredCaption('clear daylight', 'highway', 'dense vehicles', 'low thermal contrast')

``tools/captions/generate.py --import my_module --captioner mine`` finds it. A captioner that comes with the
project stands in this folder, and its module among the locations of ``CAPTIONERS`` in ``mmslg/registry.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmslg.captions.schema import StructuredCaption


class CaptionFailure(Exception):
    """A captioner has no caption for this pair, and other pairs can go on.

    Args:
        reason: Why, in one line.
        answer: What the model said instead of a caption, if anything.
    """

    def __init__(self, reason: str, answer: str = '') -> None:
        super().__init__(reason)
        self.answer = answer


class Captioner(ABC):
    """Writes the structured caption of a visible and infrared pair.

    Both methods may be called from several threads at once.

    Attributes:
        version: Changes whenever the same pair may get another caption.
        details: Further fields of each record, such as the model and the prompt.
        batch_size: Pairs that one call of ``caption_batch`` gets, at most.
        workers: Threads that suit this captioner; None leaves it to the caller.
    """

    version: str
    details: Mapping[str, Any] = {}
    batch_size: int = 1
    workers: int | None = None

    @abstractmethod
    def caption(self, visible: np.ndarray, infrared: np.ndarray) -> StructuredCaption:
        """Caption one pair.

        Args:
            visible: BGR image ``(H, W, 3)``, uint8.
            infrared: Image ``(H, W)``, uint8 or uint16 as stored.

        Returns:
            The four components.

        Raises:
            CaptionFailure: There is no caption for this pair.
            InputError: The run cannot go on.
        """

    def caption_batch(
        self, pairs: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> list[StructuredCaption | CaptionFailure]:
        """Caption several pairs; override it where that is faster than one by one.

        Args:
            pairs: Visible and infrared images, each as ``caption`` takes them.

        Returns:
            One caption or failure for each pair, in order.
        """
        results: list[StructuredCaption | CaptionFailure] = []
        for visible, infrared in pairs:
            try:
                results.append(self.caption(visible, infrared))
            except CaptionFailure as failure:
                results.append(failure)
        return results
