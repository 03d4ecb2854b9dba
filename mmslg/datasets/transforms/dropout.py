"""A modality that is missing now and then, in training."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform

from mmslg.errors import InputError
from mmslg.registry import TRANSFORMS

CHANNELS = {'rgb': slice(0, 3), 'ir': slice(3, 4)}


@TRANSFORMS.register_module()
class DropModality(BaseTransform):
    """Take one of the two images away, never both: it becomes plain, of one grey level.

    A detector that is trained so has seen a camera fail. Random numbers come from NumPy's global generator,
    two a sample, which in training is seeded by the sample's position in the run. The augmentations behind it
    would jitter what is missing, so it belongs behind them: ``pipeline=dict(augment=...)``.

    Required key: ``img`` ``(H, W, 4)`` as B, G, R, IR. Changed key: ``img``. Added key: ``dropped``,
    ``'rgb'``, ``'ir'`` or None.

    Args:
        prob: Probability that an image is missing.
        rgb_share: Probability that it is the visible one, then.
        fill: Grey level of a missing image, 0-255; 0 is what a camera without a signal gives.

    Raises:
        InputError: A number is out of range, or the image has not four channels.
    """

    def __init__(self, prob: float = 0.3, rgb_share: float = 0.5, fill: float = 0) -> None:
        if not (0 <= prob <= 1 and 0 <= rgb_share <= 1 and 0 <= fill <= 255):
            raise InputError(
                'DropModality wants prob and rgb_share from 0 to 1, fill from 0 to 255; got '
                f'prob={prob!r}, rgb_share={rgb_share!r}, fill={fill!r}'
            )
        self.prob, self.rgb_share, self.fill = prob, rgb_share, fill

    def transform(self, results: dict) -> dict:
        """Take an image away, or none."""
        img = results['img']
        if img.ndim != 3 or img.shape[2] != 4:
            raise InputError(
                f'{results.get("ir_path")}: DropModality wants an image (H, W, 4), got {img.shape}; it '
                'belongs behind mmslg.LoadInfrared'
            )
        missing, which = np.random.rand(2)
        dropped = None
        if missing < self.prob:
            dropped = 'rgb' if which < self.rgb_share else 'ir'
            results['img'] = img = img.copy()
            img[..., CHANNELS[dropped]] = self.fill
        results['dropped'] = dropped
        return results
