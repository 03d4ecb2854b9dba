"""What a detector is told about a pair without a dataset: a given, stored, written or neutral caption."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmslg.captions.building import build_captioner, build_text_encoder
from mmslg.captions.captioners.base import Captioner, CaptionFailure
from mmslg.captions.encoders.base import TextEncoder
from mmslg.captions.lookup import CaptionLookup
from mmslg.captions.schema import COMPONENTS, StructuredCaption
from mmslg.captions.store import CaptionStore
from mmslg.captions.variants import VARIANTS, rewrite
from mmslg.errors import InputError
from mmslg.utils.image_io import Image, read_infrared, read_visible

PROBE = StructuredCaption('daylight', 'street', 'a car', 'warm')


class PairCaptions:
    """The caption of a pair and its embedding.

    A pair gets the caption that it brings, else the one of the store, else the captioner's, else the neutral
    embedding, zeros, which is what ``caption_variant='none'`` tells. How many got which is counted.

    Args:
        text_dims: Width of embeddings that the model wants; None: it takes no text.
        dataset: Settings of the test dataset, which name the caption store and variant of training.
        captioner: A name, or a captioner.
        store: Caption store with the pairs' captions.
        encoder: A name, or an encoder; None takes the one that wrote the store.

    Raises:
        InputError: One of them cannot be built or read, or does not fit the model.
    """

    def __init__(
        self,
        text_dims: int | None,
        dataset: Mapping[str, Any],
        captioner: str | Captioner | None = None,
        store: str | os.PathLike | None = None,
        encoder: str | TextEncoder | None = None,
    ) -> None:
        self._text_dims = text_dims
        self._variant = dataset.get('caption_variant', 'structured')
        self._classes = tuple(dataset['metainfo']['classes'])
        self._captioner = build_captioner(captioner) if isinstance(captioner, str) else captioner
        self._encoder = build_text_encoder(encoder) if isinstance(encoder, str) else encoder
        self._lookup = CaptionLookup(os.fspath(store), self._variant) if store is not None else None
        self._store = self._lookup.stores[0] if self._lookup else None
        if self._store is None and text_dims is not None:
            self._store = _store_of(dataset)
        self._shape = self._store.shape if self._store else (len(COMPONENTS), text_dims)
        self._cache: dict[tuple[str, ...], Tensor] = {}
        self._counts: Counter[str] = Counter()
        if text_dims is not None and self._shape[-1] != text_dims:
            raise InputError(
                f'{self._store.path}: captions of width {self._shape[-1]}, the model wants {text_dims}; '
                'encode them with the encoder of training'
            )
        if self._captioner is not None and self._lookup is None:
            self.embed(PROBE)  # an encoder that lacks or does not fit is refused before any pair

    def describe(self) -> str:
        """Say in a line which captions the pairs got so far."""
        if self._text_dims is None:
            return 'captions: none, the model takes no text'
        told = ', '.join(f'{number} {kind}' for kind, number in self._counts.items())
        return f'captions: {told or "none asked for yet"}'

    def of(
        self, key: str, visible: Image, infrared: Image, given: Mapping | StructuredCaption | None
    ) -> tuple[StructuredCaption | None, Tensor | None]:
        """Return caption and embedding of a pair; None for a model without text, and for the neutral one.

        Raises:
            InputError: The store has no caption of the pair, or the captioner fails on it.
        """
        if self._text_dims is None:
            return None, None
        if given is not None:
            caption, kind = _structured(given), 'given'
        elif self._lookup is not None:
            told = self._lookup.caption(key), torch.from_numpy(np.array(self._lookup.embedding(key)))
            self._counts['from the store'] += 1
            return told
        elif self._captioner is not None:
            caption, kind = self._write(key, visible, infrared), 'from the captioner'
        else:
            caption, kind = None, 'neutral (zeros)'
        self._counts[kind] += 1
        return caption, self.embed(caption)

    def embed(self, caption: Mapping | StructuredCaption | None) -> Tensor | None:
        """Return the embedding of a caption, of zeros if it is None; None for a model without text."""
        if self._text_dims is None:
            return None
        if caption is None or self._variant == 'none':
            return torch.zeros(self._shape)
        if self._variant == 'constant' and self._store is not None:
            return torch.from_numpy(np.array(self._store[min(self._store)]))
        variant = VARIANTS[self._variant]
        classes = self._classes if variant == 'class_names' else ()
        phrases = rewrite({'': _structured(caption)}, variant, classes)[''].components()
        if phrases not in self._cache:
            if len(self._cache) >= 256:
                self._cache.clear()
            embedding = torch.from_numpy(np.asarray(self._text_encoder().encode(phrases), np.float32))
            if embedding.shape[-1] != self._text_dims:
                raise InputError(
                    f'the text encoder {self._encoder.name} gives vectors of width {embedding.shape[-1]}, '
                    f'the model wants {self._text_dims}; take the encoder of training'
                )
            self._cache[phrases] = embedding
        return self._cache[phrases]

    def _write(self, key: str, visible: Image, infrared: Image) -> StructuredCaption:
        images = read_visible(visible), read_infrared(infrared)
        try:
            return self._captioner.caption(*images)
        except CaptionFailure as failure:
            raise InputError(f'{key or "pair"}: the captioner has no caption: {failure}') from None

    def _text_encoder(self) -> TextEncoder:
        if self._encoder is None:
            store = self._store
            if store is None:
                raise InputError(
                    'captions want a text encoder, and the caption store of the config is not there to name '
                    "it; give the one of training, such as encoder='hashed' (--encoder hashed)"
                )
            encoder = build_text_encoder(store.encoder)
            if encoder.model != store.model:
                raise InputError(
                    f'{store.path}: written by {store.encoder} {store.model}, here it is {encoder.model}; '
                    'give encoder=..., the one of training'
                )
            self._encoder = encoder
        return self._encoder


def _structured(caption: Mapping | StructuredCaption) -> StructuredCaption:
    return caption if isinstance(caption, StructuredCaption) else StructuredCaption.from_dict(caption)


def _store_of(dataset: Mapping[str, Any]) -> CaptionStore | None:
    """Return the first caption store of a dataset that is there."""
    stores = dataset.get('caption_store') or []
    stores = [stores] if isinstance(stores, str) else stores
    paths = [os.path.join(dataset.get('data_root') or '', store) for store in stores]
    return next((CaptionStore.open(path) for path in paths if os.path.isfile(path)), None)
