"""The blocks of the trunk: in which precision they run, and which of them learn."""

from __future__ import annotations

import logging
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmslg.errors import InputError


def dtype_of(block: nn.Module) -> torch.dtype:
    """Return the type that a block's matrices are stored in."""
    return block.attn.proj.weight.dtype


def learns(block: nn.Module) -> bool:
    """Return whether something of a block learns now."""
    return any(param.requires_grad for param in block.parameters())


def learning_blocks(trainable: int | str, lora: dict | None, depth: int) -> int:
    """Return how many of the last blocks hold something that learns.

    Args:
        trainable: Number of last blocks that learn themselves, or ``'all'``.
        lora: Options of the updates beside frozen blocks; None is none.
        depth: Number of blocks.

    Raises:
        InputError: There are not so many, or both are asked for.
    """
    if trainable != 'all' and (type(trainable) is not int or not 0 <= trainable <= depth):
        raise InputError(
            f"trunk trainable={trainable!r}: wanted the number of last blocks that learn, 0-{depth}, or 'all'"
        )
    if lora is None:
        return depth if trainable == 'all' else trainable
    if trainable:
        raise InputError(
            f'trunk trainable={trainable!r} and lora: the updates are for frozen blocks; leave one out'
        )
    return depth


def store_frozen(blocks: nn.Module, dtype: torch.dtype) -> None:
    """Store the matrices of frozen blocks in a type, or leave them where the device cannot run it."""
    lacks_it = torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False)
    if dtype == torch.bfloat16 and lacks_it:
        print_log('this GPU has no bfloat16: the frozen trunk runs in float32', 'current', logging.WARNING)
        return
    for layer in blocks.modules():
        if isinstance(layer, nn.Linear) and not layer.weight.requires_grad:
            layer.to(dtype)


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
