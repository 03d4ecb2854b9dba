"""What the text encoders that run a network have in common."""

from __future__ import annotations

import hashlib
import importlib
from abc import abstractmethod
from collections.abc import Sequence
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from mmslg.captions.encoders.base import TextEncoder
from mmslg.captions.schema import one_line
from mmslg.errors import InputError

POOLINGS = ('pooled', 'tokens')
MAX_TOKENS = 77
"""Tokens kept of a text where all are kept: what CLIP reads."""


class NetworkTextEncoder(TextEncoder):
    """A frozen text tower, run in batches without gradients.

    Subclasses set ``name``, ``model``, ``width`` and ``weights``, and encode one batch.

    Args:
        pooling: ``'pooled'`` for one vector a text, ``'tokens'`` for all of them.
        max_tokens: With ``'tokens'``, the number L of tokens of every text: longer texts are cut, the
            places behind a shorter one are zeros, which Language-Guided Modulation takes as padding.
        batch_size: Texts that run at a time.
        device: ``'cpu'``, ``'cuda'``, ``'cuda:1'`` ...; None takes the GPU if there is one.

    Raises:
        InputError: An option cannot be used.
    """

    def __init__(
        self,
        pooling: str = 'pooled',
        max_tokens: int = MAX_TOKENS,
        batch_size: int = 64,
        device: str | None = None,
    ) -> None:
        if pooling not in POOLINGS:
            raise InputError(f'pooling must be one of {", ".join(POOLINGS)}, got {pooling!r}')
        for what, value in (('max_tokens', max_tokens), ('batch_size', batch_size)):
            if value < 1:
                raise InputError(f'{what} must be at least 1, got {value}')
        self.pooling = pooling
        self.max_tokens = max_tokens
        self.batch_size = batch_size
        self.device = choose_device(device)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts; how many were cut is added to ``truncated``.

        Args:
            texts: ``n`` texts.

        Returns:
            ``(n, d)`` if pooled or ``(n, L, d)`` if tokens, float32.
        """
        texts = list(texts)
        shape = (0, self.width) if self.pooling == 'pooled' else (0, self.max_tokens, self.width)
        parts = [np.zeros(shape, np.float32)]
        for start in range(0, len(texts), self.batch_size):
            with torch.inference_mode():
                vectors = self._encode_batch(texts[start : start + self.batch_size])
            parts.append(vectors.float().cpu().numpy())
        return np.concatenate(parts)

    @abstractmethod
    def _encode_batch(self, texts: list[str]) -> Tensor:
        """Return ``(n, d)`` or ``(n, max_tokens, d)``."""

    def _fit(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Bring tokens ``(n, l, d)`` to ``max_tokens``, with zeros where ``present`` ``(n, l)`` is false."""
        tokens = tokens * present[..., None]
        missing = self.max_tokens - tokens.shape[1]
        return nn.functional.pad(tokens, (0, 0, 0, max(missing, 0)))[:, : self.max_tokens]


def choose_device(name: str | None) -> torch.device:
    """Return the device of this name; None is the GPU if there is one, else the CPU.

    Raises:
        InputError: No such device here.
    """
    if name is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split('\n')[0]
        raise InputError(f'device {name!r} cannot be used here ({reason}); take cpu') from None
    return device


def freeze(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network on the device, in eval mode, without gradients."""
    return network.to(device).eval().requires_grad_(False)


def hash_weights(tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of tensors by name, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().float().contiguous().numpy()
        digest.update(f'{name}{array.shape}'.encode())
        digest.update(array.data)
    return digest.hexdigest()


def require(package: str, encoder: str) -> ModuleType:
    """Import an optional package.

    Raises:
        InputError: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f'the text encoder {encoder!r} needs the package {package} ({error}); '
            'run: pip install -r requirements/captions.txt'
        ) from None


def first_line(error: BaseException, length: int = 300) -> str:
    """Return the message of another package's error as one line of bounded length."""
    return one_line(str(error) or type(error).__name__, length)
