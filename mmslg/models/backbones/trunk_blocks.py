"""One block of the trunk: in which precision it runs, and whether it learns."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmslg.errors import InputError


def dtype_of(block: nn.Module) -> torch.dtype:
    """Return the type that a block's matrices are stored in."""
    return block.attn.proj.weight.dtype


def learns(block: nn.Module) -> bool:
    """Return whether something of a block learns now."""
    return any(param.requires_grad for param in block.parameters())


def run_block(block: nn.Module, tokens: Tensor, **options: Any) -> Tensor:
    """Run a block in the type of its matrices, with the sum over the blocks in that of the tokens.

    Args:
        block: Block of a timm ViT.
        tokens: Tokens ``(B, P + N, C)``.
        **options: What the block takes beside them, such as ``rope``.

    Raises:
        InputError: A gradient is to flow through a block in float16.
    """
    dtype = dtype_of(block)
    if dtype == torch.float16 and tokens.requires_grad:
        raise InputError(
            'the trunk in float16 serves inference: in training small gradients would vanish in it; '
            "set model.backbone.trunk.dtype='bfloat16', or 'float32' with --amp"
        )
    if dtype == tokens.dtype or dtype not in (torch.bfloat16, torch.float16):
        return block(tokens, **options)
    with torch.autocast(tokens.device.type, dtype):
        return block(tokens, **options)
