"""Low-rank updates (LoRA, arXiv:2106.09685) of frozen blocks, by the peft library."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmslg.errors import InputError


class Float32Linear(nn.Linear):
    """A layer that runs in float32 under autocast and on inputs in half precision."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(..., out_features)`` in float32."""
        with torch.autocast(inputs.device.type, enabled=False):
            return super().forward(inputs.float())


def add_lora(blocks: nn.ModuleList, options: dict) -> None:
    """Add low-rank updates to linear layers of frozen blocks, in place.

    Both factors are float32 and run in it, also where the block is in half precision; their product is
    added in the block's type. The second one starts at zero: the blocks give what they gave.

    Args:
        blocks: Blocks of a timm ViT.
        options: Arguments of ``peft.LoraConfig``; ``target_modules`` is ``['qkv', 'proj']`` unless given.

    Raises:
        InputError: peft is not installed, or the options do not fit.
    """
    try:
        import peft
    except ImportError as error:
        raise InputError(
            f'trunk lora wants the package peft ({error}); run: pip install -r requirements/lora.txt'
        ) from error
    if not isinstance(options, Mapping):
        raise InputError(f'trunk lora={options!r:.60}: wanted options such as dict(r=8, lora_alpha=16)')
    options = {'target_modules': ['qkv', 'proj'], **options}
    try:
        peft.inject_adapter_in_model(peft.LoraConfig(**options), blocks)
    except (TypeError, ValueError) as error:
        raise InputError(f'trunk lora={options}: {" ".join(str(error).split())}') from error
    for name, module in blocks.named_modules():
        if isinstance(module, nn.Linear) and ('.lora_A.' in name or '.lora_B.' in name):
            module.__class__ = Float32Linear
    for block in blocks:
        attention = block.attn
        # timm's Eva reads the matrix of qkv past its layer if it has biases of its own for it.
        if getattr(attention, 'q_bias', None) is not None and hasattr(attention.qkv, 'lora_A'):
            raise InputError(
                "trunk lora: timm runs this model's qkv past its layer; set target_modules=['proj', 'fc1']"
            )
