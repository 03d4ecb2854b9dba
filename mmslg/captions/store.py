"""Caption embeddings of a data set in one file, memory-mapped, keyed by image.

The container is safetensors. Equal strings are kept once::

    embeddings  (U, d) or (U, L, d) float32   one row (or L tokens) per distinct string
    index       (N, 4) int32                  rows of image n, in the order of COMPONENTS
    keys        uint8                         the N image keys, UTF-8, joined by line breaks
    texts       uint8                         the U distinct strings, likewise
    metadata    format, format_version, encoder, model, width, pooling, sha256, weights, variant
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mmslg.captions.encoders.base import TextEncoder
from mmslg.captions.schema import COMPONENTS, StructuredCaption, image_key
from mmslg.captions.store_format import TENSORS, content_hash, map_tensor, pack, unpack
from mmslg.errors import InputError
from mmslg.utils.io import atomic_path

FORMAT = 'mmslg-captions'
FORMAT_VERSION = '1'
BATCH = 256
"""Strings encoded at a time."""

_HEADER = ('encoder', 'model', 'width', 'pooling', 'sha256')
"""What a header must hold; ``weights`` and ``variant`` came later and have defaults."""


class CaptionStore:
    """Caption embeddings by image key.

    Nothing but header, keys and rows is read on opening; embeddings stay on disk until looked up.
    A copy sent to another process carries the path alone and opens the file again there.

    Args:
        path: File written by :func:`write_store`.

    Raises:
        InputError: The file is missing, truncated, no store, or of another format version.

    Example:
        >>> store = CaptionStore.open('captions.safetensors')
        >>> store['00001.jpg'].shape, store.encoder, store.pooling
        ((4, 512), 'hashed', 'pooled')
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._load()

    @classmethod
    def open(cls, path: str | os.PathLike) -> CaptionStore:
        """Open a store."""
        return cls(path)

    def _load(self) -> None:
        if not self.path.is_file():
            raise InputError(
                f'{self.path}: no such file; write the caption store with tools/captions/encode.py'
            )
        try:
            self._file = safe_open(self.path, framework='numpy')
            self._metadata = self._file.metadata() or {}
            self._check_format()
            self._embeddings = map_tensor(self.path, 'embeddings')
            self._index = self._file.get_tensor('index')
            keys = unpack(self._file.get_tensor('keys'))
        except (SafetensorError, OSError, UnicodeDecodeError) as error:
            raise InputError(f'{self.path}: not a caption store, or truncated ({error})') from None
        self._texts: list[str] | None = None
        self._rows = {key: row for row, key in enumerate(keys)}
        self._check_shapes()

    def _check_format(self) -> None:
        if self._metadata.get('format') != FORMAT or not set(TENSORS) <= set(self._file.keys()):
            raise InputError(f'{self.path}: not a caption store; write one with tools/captions/encode.py')
        version = self._metadata.get('format_version')
        if version != FORMAT_VERSION:
            raise InputError(
                f'{self.path}: caption store of format version {version}, this program reads version '
                f'{FORMAT_VERSION}; encode the captions again with tools/captions/encode.py'
            )
        missing = [name for name in _HEADER if name not in self._metadata]
        if missing:
            raise InputError(f'{self.path}: the header of the caption store lacks {", ".join(missing)}')

    def _check_shapes(self) -> None:
        shape = self._embeddings.shape
        dims = {'pooled': 2, 'tokens': 3}.get(self.pooling)
        fits = (
            len(shape) == dims
            and str(shape[-1]) == self._metadata['width']
            and self._index.shape == (len(self._rows), len(COMPONENTS))
            and self._index.dtype == np.int32
            and (not self._index.size or (self._index.min() >= 0 and self._index.max() < shape[0]))
        )
        if not fits:
            raise InputError(
                f'{self.path}: header and content of the store disagree; encode the captions again'
            )

    @property
    def encoder(self) -> str:
        """Name of the text encoder."""
        return self._metadata['encoder']

    @property
    def model(self) -> str:
        """Identity of the encoder's weights or rules."""
        return self._metadata['model']

    @property
    def width(self) -> int:
        """Length ``d`` of a vector."""
        return int(self._metadata['width'])

    @property
    def pooling(self) -> str:
        """``'pooled'`` or ``'tokens'``."""
        return self._metadata['pooling']

    @property
    def sha256(self) -> str:
        """Hash of the content, equal for equal captions and encoder."""
        return self._metadata['sha256']

    @property
    def variant(self) -> str:
        """Form in which the captions were encoded, see :mod:`mmslg.captions.variants`."""
        return self._metadata.get('variant', 'structured')

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the embeddings of a caption, ``(4, d)`` or ``(4, L, d)``."""
        return len(COMPONENTS), *self._embeddings.shape[1:]

    @property
    def num_texts(self) -> int:
        """Number of distinct strings."""
        return len(self._embeddings)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return f'CaptionStore({str(self.path)!r}, {len(self)} captions, {self.model}, {self.pooling})'

    def __getitem__(self, key: str) -> np.ndarray:
        """Return the embeddings of an image's four components.

        Returns:
            ``(4, d)`` if pooled, ``(4, L, d)`` if tokens, float32, in the order of ``COMPONENTS``.

        Raises:
            InputError: The store has no caption of this image.
        """
        return self._embeddings[self._row(key)]

    def caption(self, key: str) -> StructuredCaption:
        """Return the caption of an image.

        Raises:
            InputError: The store has no caption of this image.
        """
        if self._texts is None:
            self._texts = unpack(self._file.get_tensor('texts'))
        return StructuredCaption(*(self._texts[row] for row in self._row(key)))

    def verify(self) -> None:
        """Read everything and compare it with the hash in the header.

        Raises:
            InputError: The content was changed, or holds embeddings that are not finite.
        """
        tensors = {name: self._file.get_tensor(name) for name in TENSORS if name != 'embeddings'}
        if content_hash({**tensors, 'embeddings': self._embeddings}) != self.sha256:
            raise InputError(f'{self.path}: the content does not match its hash; encode the captions again')
        parts = (self._embeddings[start : start + BATCH] for start in range(0, self.num_texts, BATCH))
        if not all(np.isfinite(part).all() for part in parts):
            raise InputError(
                f'{self.path}: the store holds embeddings that are not finite; encode the captions again'
            )

    def _row(self, key: str) -> list[int]:
        try:
            return self._index[self._rows[key]].tolist()
        except KeyError:
            some = next(iter(self._rows), 'none')
            raise InputError(
                f'no caption for image {key} in {self.path} ({len(self)} captions, e.g. {some}); '
                'run tools/captions/generate.py and encode.py on these annotations'
            ) from None

    def __getstate__(self) -> dict[str, Any]:
        return {'path': self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state['path'])


def write_store(
    path: str | os.PathLike,
    captions: Mapping[str, StructuredCaption],
    encoder: TextEncoder,
    progress: Callable[[int], None] | None = None,
    variant: str = 'structured',
) -> int:
    """Encode captions and write the store, whole or not at all.

    Args:
        path: File to write.
        captions: Captions by image key.
        encoder: Encodes every distinct string once.
        progress: Called with the number of strings encoded so far.
        variant: Form of these captions, kept in the header.

    Returns:
        Number of distinct strings.

    Raises:
        InputError: There is no caption.
    """
    if not captions:
        raise InputError(f'{path}: there are no captions to store')
    keys = [image_key(key) for key in captions]
    if len(set(keys)) < len(keys):
        raise InputError(f"{path}: two captions belong to one image once '\\\\' is read as '/'")
    rows: dict[str, int] = {}
    texts_of = (caption.components() for caption in captions.values())
    index = np.array([[rows.setdefault(text, len(rows)) for text in four] for four in texts_of], np.int32)
    texts = list(rows)
    tensors = {
        'embeddings': _encode(texts, encoder, progress),
        'index': index,
        'keys': pack(keys),
        'texts': pack(texts),
    }
    metadata = {
        'format': FORMAT,
        'format_version': FORMAT_VERSION,
        'encoder': encoder.name,
        'model': encoder.model,
        'width': str(encoder.width),
        'pooling': encoder.pooling,
        'sha256': content_hash(tensors),
        'weights': encoder.weights,
        'variant': variant,
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)
    return len(texts)


def _encode(texts: list[str], encoder: TextEncoder, progress: Callable[[int], None] | None) -> np.ndarray:
    dims = {'pooled': 2, 'tokens': 3}[encoder.pooling]
    parts = []
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        part = np.ascontiguousarray(encoder.encode(batch), np.float32)
        if part.ndim != dims or len(part) != len(batch) or part.shape[-1] != encoder.width:
            raise ValueError(
                f'{encoder.model} promised {encoder.pooling} vectors of width {encoder.width} for '
                f'{len(batch)} texts and gave shape {part.shape}'
            )
        if not np.isfinite(part).all():
            raise ValueError(f'{encoder.model} gave vectors that are not finite')
        parts.append(part)
        if progress:
            progress(min(start + BATCH, len(texts)))
    return np.concatenate(parts)
