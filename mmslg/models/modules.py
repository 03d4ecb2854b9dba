"""Finding a way around in a model."""

from __future__ import annotations

from typing import Any

from mmengine.model import is_model_wrapper
from torch import nn


def bare_model(model: nn.Module) -> nn.Module:
    """Return the model itself, out of the wrapper that several processes put around it."""
    return model.module if is_model_wrapper(model) else model


def first_of(model: nn.Module, kind: type) -> Any:
    """Return the first module of a type, or None."""
    return next((module for module in model.modules() if isinstance(module, kind)), None)


GPU_ALONE = {
    'RotatedIoULoss': 'diff_iou_rotated',
    'ConvexGIoULoss': 'convex_giou',
    'BCConvexGIoULoss': 'convex_giou',
}
"""Losses of MMRotate by class, and the operator of mmcv in each that has no kernel for a CPU."""


def gpu_alone(model: nn.Module) -> list[tuple[str, str]]:
    """Return which losses of a model cannot be computed on a CPU, each with the operator that it lacks there.

    Predictions need none of them.
    """
    kinds = sorted({type(module).__name__ for module in model.modules()})
    return [(kind, GPU_ALONE[kind]) for kind in kinds if kind in GPU_ALONE]
