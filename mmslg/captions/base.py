"""What a captioner and a text encoder are, and how they are found by name.

Add your own with one class::

    @CAPTIONERS.register_module(name='mine')
    class MyCaptioner(Captioner):
        version = '1'

        def caption(self, visible, infrared):
            return StructuredCaption('clear daylight', 'highway', 'dense vehicles', 'low thermal contrast')

``tools/captions/generate.py --import my_module --captioner mine`` finds it.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmslg.captions.schema import StructuredCaption
from mmslg.errors import InputError
from mmslg.registry import CAPTIONERS, TEXT_ENCODERS


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
            infrared: Image ``(H', W')``, uint8 or uint16 as stored.

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


def build_captioner(name: str, **options: Any) -> Captioner:
    """Build a registered captioner.

    Raises:
        InputError: No captioner has this name, or it does not take these options.
    """
    return _build(CAPTIONERS, 'captioner', name, options)


def build_text_encoder(name: str, **options: Any) -> TextEncoder:
    """Build a registered text encoder.

    Raises:
        InputError: No text encoder has this name, or it does not take these options.
    """
    return _build(TEXT_ENCODERS, 'text encoder', name, options)


def _build(registry: Any, what: str, name: str, options: dict[str, Any]) -> Any:
    if name not in registry.module_dict:
        known = ', '.join(sorted(registry.module_dict))
        raise InputError(f'no {what} is called {name!r}; there are: {known}')
    factory = registry.module_dict[name]
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        raise InputError(f'{what} {name!r}: {error}') from None
    return factory(**options)
