"""Sizes of images in a config, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MIN_SIDE = 32
"""The least side of an image in pixels: the stride of the coarsest level that every head has."""


def resize_fault(resize: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the sizes of a transform that resizes: the setting, and what it wants."""
    for key in {'scale', 'scales'} & set(resize):
        if not _is_scale(resize[key]):
            return (
                f'{key}={resize[key]!r:.80}: wanted width and height in pixels, at least {MIN_SIDE} each, '
                'such as (640, 512)'
            )
    ratios = resize.get('ratio_range')
    if ratios is None:
        return None
    if not _is_range(ratios):
        return f'ratio_range={ratios!r:.80}: wanted the least and greatest factor of scale, as (0.6, 1.0)'
    least = _least_side(resize.get('scale', MIN_SIDE / ratios[0])) * ratios[0]
    if least < MIN_SIDE:
        return (
            f'ratio_range={ratios!r} makes {least:.0f} pixels of scale={resize["scale"]!r}, wanted at least '
            f'{MIN_SIDE}'
        )
    return None


def _is_scale(scale: Any) -> bool:
    """Whether this is one side, a pair of sides, or a list of pairs."""
    if isinstance(scale, int) and not isinstance(scale, bool):
        return scale >= MIN_SIDE
    if not isinstance(scale, (list, tuple)) or not scale:
        return False
    if all(isinstance(side, int) and not isinstance(side, bool) for side in scale):
        return len(scale) == 2 and min(scale) >= MIN_SIDE
    return all(isinstance(pair, (list, tuple)) and _is_scale(pair) for pair in scale)


def _is_range(ratios: Any) -> bool:
    numbers = isinstance(ratios, (list, tuple)) and all(type(ratio) in (int, float) for ratio in ratios)
    return numbers and len(ratios) == 2 and 0 < ratios[0] <= ratios[1]


def _least_side(scale: Any) -> float:
    return min(map(_least_side, scale)) if isinstance(scale, (list, tuple)) else scale
