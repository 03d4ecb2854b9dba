"""A trained detector for a stream whose caption changes seldom."""

from __future__ import annotations

import torch
from mmdet.structures import DetDataSample

from mmslg.apis.pair_inferencer import Pair, PairInferencer
from mmslg.errors import InputError
from mmslg.models import LanguageGuidedModulation
from mmslg.models.modules import first_of
from mmslg.streams.async_captions import Caption


class StreamDetector:
    """Detect in one pair at a time, with scale and shift of the LGM computed once for each caption.

    Args:
        inferencer: The detector.
        takes_captions: Whether captions will come.

    Raises:
        InputError: Captions will come, and the model has no LGM to take them.
    """

    def __init__(self, inferencer: PairInferencer, takes_captions: bool = False) -> None:
        self._inferencer = inferencer
        self._lgm = first_of(inferencer.model, LanguageGuidedModulation)
        if takes_captions and self._lgm is None:
            raise InputError(
                '--captioner: this model has no LanguageGuidedModulation, so it takes no caption'
            )

    def use_caption(self, caption: Caption) -> None:
        """Tell the model this caption from now on.

        Raises:
            InputError: Its embedding is not of the width that the model was trained with.
        """
        self._lgm.hold(torch.from_numpy(caption.embedding))

    def __call__(self, pair: Pair) -> DetDataSample:
        """Return the detections of a pair, in pixels of its visible image."""
        return self._inferencer.predict([pair._replace(caption=None)])[0]
