"""The corruptions of ImageNet-C (arXiv:1903.12261), by the package that detection benchmarks apply them with.

It is ``imagecorruptions``, of "Benchmarking Robustness in Object Detection" (arXiv:1907.07484); the release
``imagecorruptions-imaug`` is the one that is maintained.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from importlib import metadata

import numpy as np

from mmslg.datasets.corruptions.images import Changed
from mmslg.errors import InputError

COMMON = (
    *('gaussian_noise', 'shot_noise', 'impulse_noise', 'defocus_blur', 'glass_blur', 'motion_blur'),
    *('zoom_blur', 'snow', 'frost', 'fog', 'brightness', 'contrast', 'elastic_transform', 'pixelate'),
    'jpeg_compression',
)
"""The fifteen that mean performance under corruption is taken over."""
PACKAGE = 'imagecorruptions-imaug'
SMALLEST = 32
_SEEDED = ('impulse_noise', 'glass_blur')
"""Those with generators of their own, which take a seed."""


def published(name: str) -> Callable[[np.ndarray, int, np.random.Generator], Changed]:
    """Return one of :data:`COMMON` as a function of image, severity (1-5) and generator."""
    return partial(_corrupt, name)


@cache
def installed() -> str | None:
    """Return the package's version, None if it is not installed."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return None


def version() -> str:
    """Return the package's version.

    Raises:
        InputError: It is not installed.
    """
    found = installed()
    if found is None:
        raise InputError(
            f'noise, blur and fog come from {PACKAGE}, which is not installed; `pip install -r '
            'requirements/robustness.txt`, or test others, such as by --only pair/shift missing'
        )
    return found


def _corrupt(name: str, image: np.ndarray, severity: int, rng: np.random.Generator) -> Changed:
    """Corrupt B, G, R, or an infrared image, which goes in as three equal channels and of which one is kept.

    The package draws from NumPy's global generator, which is put back.
    """
    version()
    import imagecorruptions

    height, width = image.shape[:2]
    if min(height, width) < SMALLEST:
        raise InputError(
            f'{name} wants images of at least {SMALLEST} pixels a side, got {width}x{height}; enlarge them, '
            'or choose other corruptions'
        )
    seed = int(rng.integers(2**32))
    options = {'seed': seed} if name in _SEEDED else {}
    colours = np.repeat(image, 3, 2) if image.shape[2] == 1 else np.ascontiguousarray(image[..., ::-1])
    before = np.random.get_state()
    try:
        np.random.seed(seed)
        changed = imagecorruptions.corrupt(colours, severity, name, **options)
    finally:
        np.random.set_state(before)
    return (changed[..., :1] if image.shape[2] == 1 else changed[..., ::-1]).copy(), {}
