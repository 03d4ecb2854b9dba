"""The exponential moving average of what learns."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from mmdet.models.layers import ExpMomentumEMA
from torch import nn

from mmslg.registry import MODELS


@MODELS.register_module()
class LearntEMA(ExpMomentumEMA):
    """MMDetection's average with the frozen weights left alone: they are the model's own, and never copied.

    What learns is averaged exactly as there. A weight has to learn, or not, from before the run on: one that
    is unfrozen later is not averaged.

    Args:
        model: The model whose weights are averaged.
        **kwargs: As :class:`mmdet.models.layers.ExpMomentumEMA` takes them.
    """

    def __init__(self, model: nn.Module, **kwargs: Any) -> None:
        super().__init__(_CopiedSparingly(model), **kwargs)
        own = dict(model.named_parameters())
        self.avg_parameters = {
            name: value for name, value in self.avg_parameters.items() if value is not own.get(name)
        }


class _CopiedSparingly:
    """A model whose deep copy shares the frozen parameters."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __deepcopy__(self, memo: dict) -> nn.Module:
        frozen = [param for param in self.model.parameters() if not param.requires_grad]
        memo.update({id(param): param for param in frozen})
        return deepcopy(self.model, memo)
