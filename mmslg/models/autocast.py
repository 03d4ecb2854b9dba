"""Where autocast may reach in a detector: features in half precision, everything behind them in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmcv.ops import MultiScaleDeformableAttention
from torch import Tensor, nn


def limit_autocast(model: nn.Module) -> nn.Module:
    """Keep matching, losses, boxes and reference points in float32 under autocast, whatever the head.

    Autocast reaches ``extract_feat`` (backbone and necks) and, in the DETR family, ``forward_encoder``; their
    outputs are cast to float32, and all else of the detector runs without it. Stock heads need that: with
    logits in float16, ``FocalLossCost`` is infinite from 8.4, and boxes move by up to a pixel. Within the
    encoder, mmcv's deformable attention (its sampling points) runs in float32 too; our own layers see to
    themselves.

    Classes of the modules are replaced by subclasses of the same name, so that ``isinstance``, the names of
    the weights and deep copies (EMA) stay what they were. Without autocast nothing changes.

    Args:
        model: A detector of MMDetection or MMRotate, changed in place; other models are left alone.

    Returns:
        The model.
    """
    if not hasattr(model, 'extract_feat'):
        return model
    for module in model.modules():
        if isinstance(module, MultiScaleDeformableAttention):
            _add(_Float32, module)
    _add(_Float32BehindFeatures, model)
    return model


def to_float32(value: Any) -> Any:
    """Cast floating tensors of less than 32 bits, also within tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
    if isinstance(value, dict):
        return {key: to_float32(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return type(value)(to_float32(item) for item in value)
    return value


def _add(mixin: type, module: nn.Module) -> None:
    kind = type(module)
    if not issubclass(kind, mixin):
        names = {'__module__': kind.__module__, '__qualname__': kind.__qualname__}
        module.__class__ = type(kind.__name__, (mixin, kind), names)


class _Float32:
    """A module that runs in float32 under autocast."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        device = next(self.parameters()).device.type
        if not torch.is_autocast_enabled(device):
            return super().forward(*args, **kwargs)
        with torch.autocast(device, enabled=False):
            return super().forward(*to_float32(args), **to_float32(kwargs))


class _Float32BehindFeatures:
    """A detector in which autocast reaches the features alone."""

    _autocast = False

    @contextmanager
    def _without_autocast(self) -> Iterator[None]:
        device, outer = self._device_type(), self._autocast
        if not torch.is_autocast_enabled(device):
            yield
            return
        self._autocast = True
        try:
            with torch.autocast(device, enabled=False):
                yield
        finally:
            self._autocast = outer

    def _device_type(self) -> str:
        return next(self.parameters()).device.type

    def _features(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        if not self._autocast:
            return function(*args, **kwargs)
        with torch.autocast(self._device_type()):
            return to_float32(function(*args, **kwargs))

    def loss(self, *args: Any, **kwargs: Any) -> dict:
        with self._without_autocast():
            return super().loss(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> list:
        with self._without_autocast():
            return super().predict(*args, **kwargs)

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        with self._without_autocast():
            return super()._forward(*args, **kwargs)

    def extract_feat(self, *args: Any, **kwargs: Any) -> Any:
        return self._features(super().extract_feat, *args, **kwargs)

    def forward_encoder(self, *args: Any, **kwargs: Any) -> Any:
        return self._features(super().forward_encoder, *args, **kwargs)
