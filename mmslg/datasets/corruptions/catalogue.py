"""Every corruption of a pair by its name, with what each severity stands for.

A name is ``GROUP/WHAT``: ``visible/`` and ``infrared/`` change that image, ``pair/`` what there is between
the two, ``missing/`` puts something in the place of an image. At severity 0 a pair is left as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mmslg.datasets.corruptions import geometry, images
from mmslg.datasets.corruptions.published import COMMON, published
from mmslg.errors import InputError

CHANNELS = {'visible': slice(0, 3), 'infrared': slice(3, 4)}
"""Of an image B, G, R, IR."""
MOVED = 'moved'
"""Stands for the modality that is moved: the one that the boxes were not drawn in."""
SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Step:
    """One change of one image.

    Args:
        where: ``visible``, ``infrared`` or ``moved``.
        function: As :mod:`mmslg.datasets.corruptions.images` explains.
        levels: What it gets at each severity.
    """

    where: str
    function: Callable[[np.ndarray, Any, np.random.Generator], images.Changed]
    levels: Sequence[Any]


@dataclass(frozen=True)
class Corruption:
    """A corruption.

    Args:
        name: ``GROUP/WHAT``.
        steps: What is done, in this order.
        levels: The severities in words, one for each.
        unit: Of the levels.
    """

    name: str
    steps: Sequence[Step]
    levels: Sequence[str]
    unit: str = ''

    @property
    def group(self) -> str:
        """The part of the name before the slash."""
        return self.name.split('/')[0]

    @property
    def severities(self) -> tuple[int, ...]:
        """Those that it has: five, or 1 for what is or is not."""
        return tuple(range(1, len(self.levels) + 1))

    @property
    def is_published(self) -> bool:
        """Whether it wants the package of :mod:`mmslg.datasets.corruptions.published`."""
        return any(isinstance(step.function, partial) for step in self.steps)


@dataclass(frozen=True)
class Statistics:
    """Means and standard deviations of B, G, R, IR in 0-255, for images that are missing."""

    mean: Sequence[float] = (103.53, 116.28, 123.675, 127.0)
    std: Sequence[float] = (57.375, 57.12, 58.395, 60.0)

    def of(self, kind: str, channels: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return means and deviations of what takes the image's place: ``zeros``, ``mean`` or ``noise``."""
        mean, std = (np.array(part[channels], float) for part in (self.mean, self.std))
        return (0 * mean, 0 * std) if kind == 'zeros' else (mean, std if kind == 'noise' else 0 * std)


def pair_seed(seed: int, name: str, severity: int, key: str) -> int:
    """Return the seed of one pair under one corruption: the first 8 bytes of a SHA-256.

    Example:
        >>> pair_seed(0, 'visible/fog', 3, 'day/001.png')
        16619807666082489457
    """
    text = '\0'.join((str(seed), name, str(severity), key))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big')


def corrupt(
    image: np.ndarray,
    name: str,
    severity: int,
    seed: int,
    moved: str = 'visible',
    statistics: Statistics | None = None,
) -> images.Changed:
    """Corrupt a pair.

    Args:
        image: ``(H, W, 4)`` uint8 as B, G, R, IR.
        name: One of :data:`CORRUPTIONS`.
        severity: 0 to 5; 0 changes nothing.
        seed: Of this pair, see :func:`pair_seed`.
        moved: The modality that ``pair/`` moves.
        statistics: For ``missing/``; by default those of ImageNet, and 127 and 60 for infrared.

    Returns:
        The image, a new one, and what was drawn.

    Raises:
        InputError: There is no such corruption or severity, or the image is too small for it.
    """
    known = find(name)
    if severity not in (0, *known.severities):
        raise InputError(f'{name} has the severities 0 to {len(known.levels)}, got {severity!r}')
    changed, facts = image.copy(), {}
    rng = np.random.default_rng(seed)
    for step in known.steps if severity else ():
        channels = CHANNELS[moved if step.where == MOVED else step.where]
        level = step.levels[severity - 1]
        if step.function is images.fill:
            level = (statistics or Statistics()).of(level, channels)
        changed[..., channels], drawn = step.function(changed[..., channels].copy(), level, rng)
        facts |= drawn
    return changed, facts


def find(name: str) -> Corruption:
    """Return a corruption by its name.

    Raises:
        InputError: There is none.
    """
    if name not in CORRUPTIONS:
        raise InputError(f'there is no corruption {name!r}; there are {", ".join(CORRUPTIONS)}')
    return CORRUPTIONS[name]


_EXPOSURES = (0.5, 0.25, 0.1, 0.05, 0.02)
_GLARES = ((0.4, 0.10), (0.6, 0.13), (0.8, 0.16), (1.0, 0.19), (1.2, 0.22))
_OWN = {
    'low_light': (images.low_light, _EXPOSURES, 'of the light'),
    'glare': (images.glare, _GLARES, 'brightness, size of the spot'),
}
_INFRARED = {
    'stripes': (images.stripes, (4, 8, 16, 24, 32), 'levels'),
    'dead_pixels': (images.dead_pixels, (0.002, 0.005, 0.01, 0.02, 0.05), 'of the pixels'),
    'gain_drift': (images.gain_drift, (0.1, 0.2, 0.3, 0.4, 0.5), 'of the gain'),
    'saturation': (images.saturation, (1.2, 1.4, 1.7, 2, 2.5), 'times as bright'),
}
_GEOMETRY = {
    'shift': (geometry.shift, (2, 4, 8, 16, 32), 'pixels'),
    'rotation': (geometry.rotate, (1, 2, 5, 10, 15), 'degrees'),
    'scale': (geometry.scale, (1.02, 1.05, 1.1, 1.2, 1.3), 'times, or its inverse'),
}
DEFAULT_PUBLISHED = ('gaussian_noise', 'motion_blur', 'defocus_blur', 'fog')
"""Those of the package that run unless others are asked for."""


def _catalogue() -> dict[str, Corruption]:
    made = []

    def add(name: str, where: str, function: Callable, levels: Sequence, unit: str) -> None:
        words = [' '.join(map(str, level)) if isinstance(level, tuple) else str(level) for level in levels]
        made.append(Corruption(name, (Step(where, function, levels),), words, unit))

    for group in CHANNELS:
        own = _OWN | (_INFRARED if group == 'infrared' else {})
        for name in DEFAULT_PUBLISHED:
            add(f'{group}/{name}', group, published(name), SEVERITIES, 'of ImageNet-C')
        for name, how in own.items():
            add(f'{group}/{name}', group, *how)
    for name, how in _GEOMETRY.items():
        add(f'pair/{name}', MOVED, *how)
    noise = published('gaussian_noise')
    steps = [Step(where, noise, SEVERITIES) for where in CHANNELS]
    steps.append(Step(MOVED, geometry.shift, _GEOMETRY['shift'][1]))
    words = [f'{s} and {pixels}' for s, pixels in zip(SEVERITIES, _GEOMETRY['shift'][1])]
    made.append(Corruption('pair/noise_and_shift', steps, words, 'of ImageNet-C, pixels'))
    for group in CHANNELS:
        for kind in ('zeros', 'mean', 'noise'):
            add(f'missing/{group}_{kind}', group, images.fill, (kind,), '')
    for group in CHANNELS:
        for name in (n for n in COMMON if n not in DEFAULT_PUBLISHED):
            add(f'{group}/{name}', group, published(name), SEVERITIES, 'of ImageNet-C')
    return {corruption.name: corruption for corruption in made}


CORRUPTIONS: Mapping[str, Corruption] = _catalogue()
