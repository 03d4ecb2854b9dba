"""A text encoder that needs no weights: signed feature hashing of words and their letters."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from mmslg.captions.encoders.base import TextEncoder
from mmslg.errors import InputError
from mmslg.registry import TEXT_ENCODERS

NGRAM_SIZES = (3, 4)
NGRAM_WEIGHT = 0.5
"""Length of the vector of a word's letter groups; the word itself has length 1."""

_WORD = re.compile(r'\w+')


@TEXT_ENCODERS.register_module(name='hashed')
class HashedTextEncoder(TextEncoder):
    """Deterministic bag of words and letter groups, folded into a fixed width.

    Every word adds +1 or -1 at a place given by a hash of it, and so, more softly, does every
    group of 3 or 4 letters in ``<word>``. The sum gets unit length. Texts that share words are
    near, spelling variants fairly near, all others nearly orthogonal. Meaning is not understood:
    for a trained tower take another encoder.

    Args:
        width: Length of a vector, at least 8.

    Example:
        >>> HashedTextEncoder(width=512).encode(['dimly lit night', 'foggy night']).shape
        (2, 512)
    """

    name = 'hashed'
    pooling = 'pooled'

    def __init__(self, width: int = 512) -> None:
        if width < 8:
            raise InputError(f'the hashed text encoder wants a width of at least 8, got {width}')
        self.width = width
        self.model = f'hashed-v1/{width}'

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts.

        Args:
            texts: ``n`` texts; upper and lower case are the same.

        Returns:
            ``(n, width)``, float32, rows of unit length.
        """
        vectors = np.zeros((len(texts), self.width), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for feature, weight in _features(text):
                code = _stable_hash(feature)
                vector[(code >> 1) % self.width] += weight if code & 1 else -weight
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(norms, np.finfo(np.float32).tiny)


def _features(text: str) -> Iterator[tuple[str, float]]:
    text = text.casefold()
    for word in _WORD.findall(text) or [text]:
        yield f'w:{word}', 1.0
        framed = f'<{word}>'
        grams = [framed[i : i + size] for size in NGRAM_SIZES for i in range(len(framed) - size + 1)]
        for gram in grams:
            yield f'c:{gram}', NGRAM_WEIGHT / len(grams) ** 0.5


@lru_cache(maxsize=1 << 16)
def _stable_hash(feature: str) -> int:
    # Python's own hash() of a string differs from process to process.
    return int.from_bytes(
        hashlib.blake2b(feature.encode('utf-8', 'replace'), digest_size=8).digest(), 'little'
    )
