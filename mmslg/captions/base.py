"""What a captioner and a text encoder are, and how they are found by name.

Add your own with one class::

    @CAPTIONERS.register_module(name='mine')
    class MyCaptioner(Captioner):
        version = '1'

        def caption(self, visible, infrared):
            return StructuredCaption('clear daylight', 'highway', 'dense vehicles', 'low thermal contrast')
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmslg.captions.schema import StructuredCaption
from mmslg.errors import InputError
from mmslg.registry import CAPTIONERS, TEXT_ENCODERS


class Captioner(ABC):
    """Writes the structured caption of a visible and infrared pair.

    ``caption`` may be called from several threads at once. ``version`` changes whenever the same
    pair may get another caption.
    """

    version: str

    @abstractmethod
    def caption(self, visible: np.ndarray, infrared: np.ndarray) -> StructuredCaption:
        """Caption one pair.

        Args:
            visible: BGR image ``(H, W, 3)``, uint8.
            infrared: Image ``(H', W')``, uint8 or uint16 as stored.

        Returns:
            The four components.
        """


class TextEncoder(ABC):
    """Turns texts into vectors; frozen, hence run once and stored.

    Attributes:
        name: Registered name, for instance ``'hashed'``.
        model: Identity of the weights or rules; equal identities give equal vectors.
        width: Length ``d`` of a vector.
        pooling: ``'pooled'`` for one vector a text, ``'tokens'`` for ``L`` of them.
    """

    name: str
    model: str
    width: int
    pooling: str

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
