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
