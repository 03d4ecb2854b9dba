"""What a text encoder is.

Add your own with one class::

    from mmslg.captions.encoders.base import TextEncoder
    from mmslg.registry import TEXT_ENCODERS

    @TEXT_ENCODERS.register_module(name='mine')
    class MyEncoder(TextEncoder):
        name, model, width, pooling = 'mine', 'mine-v1', 3, 'pooled'

        def encode(self, texts):
            return np.array([[len(text), text.count(' '), 1] for text in texts], np.float32)

``tools/captions/encode.py --import my_module --encoder mine`` finds it. One that comes with the project
stands in this folder, and its module among the locations of ``TEXT_ENCODERS`` in ``mmslg/registry.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np


class TextEncoder(ABC):
    """Turns texts into vectors; frozen, hence run once and stored.

    Attributes:
        name: Registered name, for instance ``'hashed'``.
        model: Identity of the weights or rules; equal identities give equal vectors.
        width: Length ``d`` of a vector.
        pooling: ``'pooled'`` for one vector a text, ``'tokens'`` for ``L`` of them.
        weights: Hash of the weights, empty for rules.
        truncated: Number of texts so far that were longer than the encoder reads, and were cut.
    """

    name: str
    model: str
    width: int
    pooling: str
    weights: str = ''
    truncated: int = 0

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts.

        Args:
            texts: ``n`` texts.

        Returns:
            ``(n, d)`` if pooled or ``(n, L, d)`` if tokens, float32; ``L`` is the same in all calls.
        """
