"""Photometric augmentation of the infrared image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mmslg.datasets.transforms.loading import check_pair_image
from mmslg.errors import InputError
from mmslg.registry import TRANSFORMS

LEVELS = np.arange(256, dtype=np.float32)


@TRANSFORMS.register_module()
class InfraredJitter(BaseTransform):
    """Jitter what a thermal camera sets by itself: gain, offset and noise; the visible image is untouched.

    The image becomes ``gain * (image - mean) + mean + offset + noise``, clipped to [0, 255], where ``mean``
    is its own, so that gain is contrast and offset brightness. Each of the three is drawn alone, with
    probability ``prob``. Random numbers come from NumPy's global generator.

    Required key: ``img`` ``(H, W, 4)`` uint8 as B, G, R, IR. Changed key: ``img``.

    Args:
        gain: Least and greatest gain.
        offset: Greatest offset to either side, in levels of 8 bits.
        noise: Greatest standard deviation of the noise, in levels of 8 bits.
        prob: Probability of each of the three.

    Raises:
        InputError: A range is none, or the image has not four channels of 8 bits.
    """

    def __init__(
        self,
        gain: Sequence[float] = (0.7, 1.3),
        offset: float = 20.0,
        noise: float = 5.0,
        prob: float = 0.5,
    ) -> None:
        numbers = [*(gain if isinstance(gain, Sequence) else ()), offset, noise, prob]
        valid = len(numbers) == 5 and all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers)
        if not valid or not 0 < gain[0] <= gain[1] or offset < 0 or noise < 0 or not 0 <= prob <= 1:
            raise InputError(
                'InfraredJitter wants gain=(least, greatest) above 0, offset and noise from 0, prob up to 1; '
                f'got gain={gain!r}, offset={offset!r}, noise={noise!r}, prob={prob!r}'
            )
        self.gain, self.offset, self.noise, self.prob = tuple(gain), offset, noise, prob

    def transform(self, results: dict) -> dict:
        """Jitter the infrared channel."""
        img = results['img']
        check_pair_image(img, results.get('ir_path'), 'InfraredJitter')
        wanted = np.random.rand(3) < self.prob
        gain = np.random.uniform(*self.gain) if wanted[0] else 1.0
        offset = np.random.uniform(-self.offset, self.offset) if wanted[1] else 0.0
        deviation = np.random.uniform(0, self.noise) if wanted[2] else 0.0
        infrared = img[..., 3]
        mean = infrared.mean()
        changed = (gain * (LEVELS - mean) + mean + offset)[infrared]
        if deviation:
            rng = np.random.default_rng(np.random.randint(2**31))  # a local one draws float32, twice as fast
            changed += deviation * rng.standard_normal(infrared.shape, dtype=np.float32)
        img[..., 3] = np.clip(np.rint(changed), 0, 255)
        return results
