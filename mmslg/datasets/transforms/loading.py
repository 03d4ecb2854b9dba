"""Loading the two images of a pair and the embedding of its caption."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmslg.captions.store import CaptionStore
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
        results['img'] = np.dstack([img, ir])
        return results


@TRANSFORMS.register_module()
class LoadCaptionEmbedding(BaseTransform):
    """Load the embedding of a pair's caption.

    Required key: ``file_name``, the pair's key. Added key: ``text``, a float32 tensor ``(4, d)`` or
    ``(4, L, d)``.

    Args:
        store: File or files written by ``tools/captions/encode.py``.

    Raises:
        InputError: A store is missing or unreadable, or has no caption for a pair.
    """

    def __init__(self, store: str | Sequence[str]) -> None:
        paths = [store] if isinstance(store, str) else list(store)
        self.stores = [CaptionStore.open(path) for path in paths]
        identities = {(s.encoder, s.width, s.pooling) for s in self.stores}
        if len(identities) > 1:
            raise InputError(
                f'the caption stores {", ".join(paths)} come from different encoders: {identities}'
            )

    def _store_of(self, key: str) -> CaptionStore:
        return next((s for s in self.stores if key in s), self.stores[0])

    def check_pairs(self, keys: Iterable[str]) -> None:
        """Raise InputError if any of the pairs has no caption; called when a dataset is loaded."""
        for key in keys:
            store = self._store_of(key)
            if key not in store:
                store[key]

    def transform(self, results: dict) -> dict:
        """Load the embedding."""
        key = results['file_name']
        results['text'] = torch.from_numpy(np.array(self._store_of(key)[key], dtype=np.float32))
        return results
