"""What a camera or the weather does to one image, in plain NumPy.

Each function takes an image ``(H, W, C)`` of uint8, how much of it, and a generator of random numbers, and
returns the image changed and what was drawn. None writes into what it is given.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

Changed = tuple[np.ndarray, dict[str, Any]]

GAMMA = 2.2
"""Between the light that falls on a pixel and its value."""
FULL_WELL = 1000
"""Electrons of a white pixel."""
READ_NOISE = 2.0
"""Standard deviation, electrons."""


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Round to whole levels within 0-255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def low_light(image: np.ndarray, exposure: float, rng: np.random.Generator) -> Changed:
    """Take the image with a fraction of its light: dark, with the noise of few photons and of reading them.

    Args:
        image: Image, 0-255.
        exposure: Fraction of the light, up to 1.
        rng: Draws the noise, for each value by itself.
    """
    electrons = exposure * FULL_WELL * (image / 255.0) ** GAMMA
    counted = rng.poisson(electrons) + rng.normal(0, READ_NOISE, image.shape)
    return to_uint8(255 * np.clip(counted / FULL_WELL, 0, 1) ** (1 / GAMMA)), {}


def glare(image: np.ndarray, level: tuple[float, float], rng: np.random.Generator) -> Changed:
    """Let a light shine into the lens: a spot that falls off as a Gaussian, and a quarter of it everywhere.

    Args:
        image: Image, 0-255.
        level: Brightness of the spot's centre as a part of 255, and the Gaussian's standard deviation as a
            part of the diagonal.
        rng: Draws the centre, uniformly.
    """
    strength, size = level
    height, width = image.shape[:2]
    x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
    sigma = size * float(np.hypot(height, width))
    across = np.exp(-((np.arange(width) + 0.5 - x) ** 2) / (2 * sigma**2))
    down = np.exp(-((np.arange(height) + 0.5 - y) ** 2) / (2 * sigma**2))
    light = 255 * strength * (down[:, None] * across[None] + 0.25)
    return to_uint8(image + light[..., None]), {'x': round(x, 2), 'y': round(y, 2), 'sigma': round(sigma, 2)}


def stripes(image: np.ndarray, sigma: float, rng: np.random.Generator) -> Changed:
    """Give each column an offset, as the readout of an uncooled thermal camera does.

    Args:
        image: Image, 0-255.
        sigma: Standard deviation of the offsets, levels of 8 bits.
        rng: Draws them.
    """
    return to_uint8(image + rng.normal(0, sigma, image.shape[1])[None, :, None]), {}


def dead_pixels(image: np.ndarray, fraction: float, rng: np.random.Generator) -> Changed:
    """Let pixels be stuck, at black or at white.

    Args:
        image: Image, 0-255.
        fraction: Probability of each pixel.
        rng: Draws which pixels, and at what.
    """
    dead = rng.random(image.shape[:2]) < fraction
    stuck = 255 * rng.integers(0, 2, image.shape[:2], dtype=np.uint8)
    return np.where(dead[..., None], stuck[..., None], image), {'dead': int(dead.sum())}


def gain_drift(image: np.ndarray, strength: float, rng: np.random.Generator) -> Changed:
    """Let gain and offset of a thermal camera drift apart over its pixels, smoothly.

    The image becomes ``(1 + strength * g) * image + strength / 2 * 255 * o`` with two smooth fields in
    [-1, 1].

    Args:
        image: Image, 0-255.
        strength: Largest change of the gain.
        rng: Draws both fields.
    """
    gain, offset = (smooth_field(image.shape[:2], rng)[..., None] for _ in range(2))
    return to_uint8((1 + strength * gain) * image + strength / 2 * 255 * offset), {}


def saturation(image: np.ndarray, gain: float, rng: np.random.Generator) -> Changed:
    """Let the camera's range be too narrow: all is brighter by ``gain``, and what is warm is one white."""
    changed = to_uint8(gain * image.astype(float))
    return changed, {'saturated': round(float((changed == 255).mean()), 4)}


def smooth_field(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return a smooth random field ``shape`` in [-1, 1]: 4 x 5 uniform values, interpolated cubically."""
    coarse = rng.uniform(-1, 1, (4, 5)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC).clip(-1, 1)


def fill(image: np.ndarray, level: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> Changed:
    """Put normal noise in the place of the image.

    Args:
        image: Image ``(H, W, C)``.
        level: Means and standard deviations ``(C,)``; deviations of zero give one colour.
        rng: Draws the noise.
    """
    mean, std = level
    return to_uint8(mean + std * rng.standard_normal(image.shape)), {}
