"""Loading the two images of a pair and the embedding of its caption."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import torch
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from mmslg.captions.schema import StructuredCaption
from mmslg.captions.store import CaptionStore
from mmslg.captions.variants import VARIANTS, shuffled_partners
from mmslg.errors import InputError
from mmslg.registry import TRANSFORMS
from mmslg.utils.image_io import read_infrared, read_visible, to_8bit


@TRANSFORMS.register_module()
class LoadVisible(BaseTransform):
    """Load the visible image of a pair.

    Unlike the stock loader it tells a truncated JPEG from a whole one, and an image from another one of
    the same name: its size has to be the annotated one.

    Required keys: ``img_path``. Optional keys: ``crop``, x, y, width, height of what counts of the file;
    ``width`` and ``height``, its annotated size. Added keys: ``img`` ``(H, W, 3)`` BGR uint8,
    ``img_shape``, ``ori_shape`` as (H, W).

    Raises:
        InputError: The file is missing, truncated, no image, or of another size.
    """

    def transform(self, results: dict) -> dict:
        """Load the image."""
        img = read_visible(results['img_path'], results.get('crop'))
        height, width = img.shape[:2]
        wanted = results.get('width', width), results.get('height', height)
        if wanted != (width, height):
            raise InputError(
                f'{results["img_path"]}: the image is {width}x{height} pixels, the annotations say '
                f'{wanted[0]}x{wanted[1]}; convert them again for these images'
            )
        results['img'] = img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadInfrared(BaseTransform):
    """Load the infrared image of a pair and stack it behind the visible one.

    From here on the pair is one image of four channels, and geometric transforms cannot desynchronise
    it. Photometric transforms of the visible image, such as ``PhotoMetricDistortion``, stand before this
    one; they drop a fourth channel without a word.

    Required keys: ``img`` ``(H, W, 3)``, ``ir_path``. Optional key: ``crop``, as for the visible one.
    Changed key: ``img`` ``(H, W, 4)`` uint8 as B, G, R, IR.

    Args:
        window: For 16-bit images, the raw counts that become 0 and 255; None takes the 0.1 and 99.9
            percentiles of each image.

    Raises:
        InputError: The file is missing, truncated or no image, or its size differs from the visible one's.
    """

    def __init__(self, window: tuple[float, float] | None = None) -> None:
        self.window = window

    def transform(self, results: dict) -> dict:
        """Load and stack the image."""
        ir = to_8bit(read_infrared(results['ir_path'], results.get('crop')), self.window)
        img = results['img']
        if img.shape[:2] != ir.shape:
            raise InputError(
                f'{results["ir_path"]}: the infrared image is {ir.shape[1]}x{ir.shape[0]} pixels, the '
                f'visible one {img.shape[1]}x{img.shape[0]}; register and resize the pair to one size first'
            )
        results['img'] = cv2.merge([img, ir])
        return results


@TRANSFORMS.register_module()
class LoadCaptionEmbedding(BaseTransform):
    """Load the embedding of a pair's caption.

    Required key: ``file_name``, the pair's key. Added key: ``text``, a float32 tensor ``(4, d)`` or
    ``(4, L, d)``.

    Args:
        store: File or files written by ``tools/captions/encode.py``.
        variant: ``'structured'``, ``'free_form'``, ``'class_names'``, ``'shuffled'`` (the caption of another
            pair of the stores) or ``'none'`` (zeros): see :mod:`mmslg.captions.variants`. The stores must
            have been written for it.
        seed: Decides who gets whose caption when shuffled. The same in training and testing.
        width: Width d that the model takes (``text_dims`` of its LGM); None takes what the stores have.
        pooling: ``'pooled'`` or ``'tokens'`` if the model takes one of them only.

    Raises:
        InputError: A store is missing, unreadable, of another kind than wanted or than the other stores,
            or has no caption for a pair.
    """

    def __init__(
        self,
        store: str | Sequence[str],
        variant: str = 'structured',
        seed: int = 0,
        width: int | None = None,
        pooling: str | None = None,
    ) -> None:
        if variant not in VARIANTS:
            raise InputError(f'variant must be one of {", ".join(VARIANTS)}, got {variant!r}')
        paths = [store] if isinstance(store, str) else list(store)
        if not paths:
            raise InputError('LoadCaptionEmbedding got no store; write one with tools/captions/encode.py')
        self.variant = variant
        self.stores = [CaptionStore.open(path) for path in paths]
        for each in self.stores:
            _check_store(each, variant, width, pooling)
        identities = {(s.encoder, s.model, s.pooling, s.shape) for s in self.stores}
        if len(identities) > 1:
            raise InputError(
                f'the caption stores {", ".join(paths)} come from different encoders: {identities}'
            )
        self._partners = self._shuffle(seed) if variant == 'shuffled' else None

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

    def _source(self, key: str) -> str:
        """Return the pair whose caption the pair ``key`` gets."""
        return key if self._partners is None else self._partners.get(key, key)

    def caption(self, key: str) -> StructuredCaption | None:
        """Return the texts that a pair's model is told, None if it is told none.

        Raises:
            InputError: The stores have no caption of the pair.
        """
        source = self._source(key)
        caption = self._store_of(source).caption(source)
        return None if self.variant == 'none' else caption

    def check_pairs(self, keys: Iterable[str]) -> None:
        """Raise InputError if any of the pairs has no caption; called when a dataset is loaded."""
        for key in keys:
            store = self._store_of(key)
            if key not in store:
                store[key]

    def transform(self, results: dict) -> dict:
        """Load the embedding."""
        source = self._source(results['file_name'])
        text = torch.from_numpy(self._store_of(source)[source])
        results['text'] = torch.zeros_like(text) if self.variant == 'none' else text
        return results


def _check_store(store: CaptionStore, variant: str, width: int | None, pooling: str | None) -> None:
    wanted = VARIANTS[variant]
    if store.variant != wanted:
        raise InputError(
            f'{store.path}: variant={variant!r} wants a store of {wanted} captions, this one holds '
            f'{store.variant} ones; encode another with tools/captions/encode.py --variant {wanted}, or say '
            f'variant={store.variant!r}'
        )
    if (width or store.width, pooling or store.pooling) != (store.width, store.pooling):
        raise InputError(
            f'{store.path}: the model wants {pooling or store.pooling} captions of width '
            f'{width or store.width}, the store holds {store.pooling} ones of width {store.width} by '
            f'{store.model}; encode the captions for the model, or fit text_dims of '
            'mmslg.LanguageGuidedModulation to the store'
        )
