"""What a model is told about a pair: the embedding of its caption, from one or several stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from mmengine.logging import print_log

from mmslg.captions.schema import StructuredCaption
from mmslg.captions.store import CaptionStore
from mmslg.captions.variants import VARIANTS, shuffled_partners
from mmslg.errors import InputError


class CaptionLookup:
    """Captions and their embeddings by the key of a pair.

    The stores are read whole once, to compare them with their hashes. A copy sent to another process opens
    them again and trusts them.

    Args:
        stores: File or files written by ``tools/captions/encode.py``, by one encoder.
        variant: ``'structured'``, ``'free_form'``, ``'class_names'``, ``'shuffled'`` (the caption of another
            pair of the stores), ``'constant'`` (that of the first pair by name for all) or ``'none'``
            (zeros): see :mod:`mmslg.captions.variants`. The stores must have been written for it.
        seed: Decides who gets whose caption when shuffled. The same in training and testing.

    Raises:
        InputError: A store is missing, unreadable, damaged, or of another kind than wanted or than the
            other stores.

    Example:
        >>> captions = CaptionLookup('captions.safetensors')
        >>> captions.embedding('00001.jpg').shape, captions.caption('00001.jpg').environment
        ((4, 512), 'dimly lit night')
    """

    def __init__(self, stores: str | Sequence[str], variant: str = 'structured', seed: int = 0) -> None:
        if variant not in VARIANTS:
            raise InputError(f'the variant of captions must be one of {", ".join(VARIANTS)}, got {variant!r}')
        paths = [stores] if isinstance(stores, str) else list(stores)
        if not paths:
            raise InputError('got no caption store; write one with tools/captions/encode.py')
        self.variant = variant
        self.stores = [CaptionStore.open(path) for path in paths]
        for store in self.stores:
            _check_variant(store, variant)
        identities = {(s.encoder, s.model, s.pooling, s.shape) for s in self.stores}
        if len(identities) > 1:
            raise InputError(
                f'the caption stores {", ".join(paths)} come from different encoders: {identities}'
            )
        for store in self.stores:
            store.verify()
        self._partners = self._shuffle(seed) if variant == 'shuffled' else None
        self._constant = min(key for store in self.stores for key in store) if variant == 'constant' else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of every embedding, ``(4, d)`` or ``(4, L, d)``."""
        return self.stores[0].shape

    def embedding(self, key: str) -> np.ndarray:
        """Return what the model of a pair is told.

        Returns:
            ``(4, d)`` if pooled, ``(4, L, d)`` if tokens, float32; zeros for the variant ``none``.

        Raises:
            InputError: The stores have no caption of the pair.
        """
        source = self.source(key)
        embedding = self._store_of(source)[source]
        return np.zeros_like(embedding) if self.variant == 'none' else embedding

    def caption(self, key: str) -> StructuredCaption | None:
        """Return the texts that the model of a pair is told, None if it is told none.

        Raises:
            InputError: The stores have no caption of the pair.
        """
        source = self.source(key)
        caption = self._store_of(source).caption(source)
        return None if self.variant == 'none' else caption

    def source(self, key: str) -> str:
        """Return the pair whose caption the pair ``key`` gets."""
        if self._constant is not None and any(key in store for store in self.stores):
            return self._constant
        return key if self._partners is None else self._partners.get(key, key)

    def check(self, keys: Iterable[str]) -> None:
        """Raise InputError if any of the pairs has no caption."""
        for key in keys:
            store = self._store_of(key)
            if key not in store:
                store[key]

    def _shuffle(self, seed: int) -> dict[str, str]:
        partners = shuffled_partners((key for store in self.stores for key in store), seed)
        same = sum(
            self._store_of(key).caption(key) == self._store_of(other).caption(other)
            for key, other in partners.items()
        )
        print_log(
            f'captions shuffled over {len(partners)} pairs; {same} of them get one that says the same',
            'current',
        )
        return partners

    def _store_of(self, key: str) -> CaptionStore:
        for store in self.stores:
            if key in store:
                return store
        return self.stores[0]  # which says that it has no such caption


def _check_variant(store: CaptionStore, variant: str) -> None:
    wanted = VARIANTS[variant]
    if store.variant != wanted:
        raise InputError(
            f'{store.path}: the variant {variant!r} wants a store of {wanted} captions, this one holds '
            f'{store.variant} ones; encode another with tools/captions/encode.py --variant {wanted}, or take '
            f'the variant {store.variant!r}'
        )
