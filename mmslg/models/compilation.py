"""Compiling the features of a detector with ``torch.compile``."""

from __future__ import annotations

import torch
from torch import nn

from mmslg.errors import InputError
from mmslg.models.layers import SparseAttention


def compile_features(model: nn.Module, backend: str = 'inductor') -> nn.Module:
    """Let backbone and necks of a detector run compiled, the backbone and each neck as one graph, in place.

    Nothing is compiled before the first batch. Names of weights stay what they are, and a deep copy (EMA)
    runs uncompiled. Each input size is compiled for itself, with and without gradients, until torch's limit
    (8 a function, ``torch._dynamo.config.recompile_limit``); further sizes run uncompiled, and torch says so.

    Args:
        model: A detector of MMDetection or MMRotate, on the device that it will run on.
        backend: torch's name of the compiler.

    Returns:
        The model.

    Raises:
        InputError: The model has no backbone, or torch cannot compile on this machine.
    """
    if not hasattr(model, 'backbone'):
        raise InputError(f'--compile: {type(model).__name__} has no backbone to compile')
    device = next(model.parameters()).device
    _try_compiler(device, backend)
    if device.type == 'cpu':
        for module in model.modules():
            if isinstance(module, SparseAttention):
                module.opaque = True
    model.backbone.compile(backend=backend, dynamic=False)
    if getattr(model, 'neck', None) is not None:
        model.neck.compile(backend=backend, dynamic=False)
    return model


def _try_compiler(device: torch.device, backend: str) -> None:
    try:
        torch.compile(lambda values: values * 2 + 1, backend=backend)(torch.zeros(16, device=device))
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f'--compile: torch cannot compile here ({reason}); install a C++ compiler (g++) and the '
            'headers of Python, for a GPU Triton as well, or leave --compile out'
        ) from error
