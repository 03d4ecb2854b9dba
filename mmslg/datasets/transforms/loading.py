"""Loading the two images of a pair."""

from __future__ import annotations

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmslg.errors import InputError
from mmslg.registry import TRANSFORMS
from mmslg.utils.image_io import check_window, read_infrared, read_visible, resize_to, same_aspect, to_8bit


@TRANSFORMS.register_module()
class LoadVisible(BaseTransform):
    """Load the visible image of a pair.

    Unlike the stock loader it tells a truncated JPEG from a whole one, and an image from another one of
    the same name: its size has to be the annotated one.

    Required keys: ``img_path``, a file or the image itself. Optional keys: ``crop``, x, y, width, height of
    what counts of the file; ``width`` and ``height``, its annotated size. Added keys: ``img`` ``(H, W, 3)``
    BGR uint8, ``img_shape``, ``ori_shape`` as (H, W).

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
                f'{_name(results["img_path"])}the image is {width}x{height} pixels, the annotations say '
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
    one; they drop a fourth channel without a word. What they left as float32 is rounded and clipped.

    Required keys: ``img`` ``(H, W, 3)``, ``ir_path``, a file or the image itself. Optional key: ``crop``, as
    for the visible one.
    Changed key: ``img`` ``(H, W, 4)`` uint8 as B, G, R, IR.

    Args:
        window: For 16-bit images, the raw counts that become 0 and 255; None takes the 0.1 and 99.9
            percentiles of each image.
        resize: Scale an infrared image of another size to the visible one's, where the aspect is the same;
            its own size is added as ``ir_shape``, (H, W). Training wants pairs of one size.

    Raises:
        InputError: The file is missing, truncated or no image, its size differs from the visible one's, or
            the window is none.
    """

    def __init__(self, window: tuple[float, float] | None = None, resize: bool = False) -> None:
        if window is not None:
            check_window(window)
        self.window = window
        self.resize = resize

    def transform(self, results: dict) -> dict:
        """Load and stack the image."""
        ir = to_8bit(read_infrared(results['ir_path'], results.get('crop')), self.window)
        img = results['img']
        if img.dtype != np.uint8:
            img = np.clip(np.rint(img), 0, 255).astype(np.uint8)
        if self.resize and img.shape[:2] != ir.shape and same_aspect(img.shape, ir.shape):
            results['ir_shape'] = ir.shape
            ir = resize_to(ir, img.shape)
        if img.shape[:2] != ir.shape:
            raise InputError(
                f'{_name(results["ir_path"])}the infrared image is {ir.shape[1]}x{ir.shape[0]} pixels, the '
                f'visible one {img.shape[1]}x{img.shape[0]}; register and resize the pair to one size first'
            )
        results['img'] = cv2.cvtColor(img, cv2.COLOR_BGR2BGRA)  # with insertChannel faster than cv2.merge
        cv2.insertChannel(ir, results['img'], 3)
        return results


def _name(image: object) -> str:
    return '' if isinstance(image, np.ndarray) else f'{image}: '


def check_pair_image(image: np.ndarray, path: object, who: str) -> None:
    """See that a transform behind :class:`LoadInfrared` got what that makes, ``(H, W, 4)`` of 8 bits.

    Args:
        image: What it got.
        path: File that the message names.
        who: Name of the transform.

    Raises:
        InputError: It got something else.
    """
    if image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
        raise InputError(
            f'{path}: {who} wants an image (H, W, 4) of 8 bits, got {image.shape} of {image.dtype}; it '
            'belongs behind mmslg.LoadInfrared'
        )
