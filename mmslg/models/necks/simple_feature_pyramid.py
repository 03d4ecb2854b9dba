"""The simple feature pyramid of ViTDet."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import torch
from mmengine.model import BaseModule
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from mmslg.errors import InputError
from mmslg.models.outputs import BackboneOutput
from mmslg.registry import MODELS


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """One map of a plain ViT to the pyramid that a head wants, after arXiv:2203.16527.

    Finer levels come from transposed convolutions, coarser ones from max pooling and a 1x1 convolution; a
    3x3 convolution follows, layer norm behind each. Departure: the first transposed convolution goes to
    ``out_channels`` at once, which saves a 1x1 convolution at the finest, costliest level.

    Args:
        in_channels: Channels of the backbone's map.
        out_channels: Channels of every level.
        in_stride: Stride of the backbone's map in pixels.
        out_strides: Strides of the levels, ascending powers of two: (8, 16, 32, 64) for DINO,
            (4, 8, 16, 32, 64) for two-stage heads, (8, 16, 32, 64, 128) for RetinaNet.

    Raises:
        InputError: A stride is no power of two times ``in_stride``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        in_stride: int = 16,
        out_strides: Sequence[int] = (8, 16, 32, 64),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_stride = in_stride
        self.levels = nn.ModuleDict()
        for stride in out_strides:
            octaves = math.log2(stride / in_stride)
            if octaves != int(octaves):
                raise InputError(
                    f'out_strides must be in_stride={in_stride} times a power of two, got {stride}'
                )
            layers: list[nn.Module] = [nn.MaxPool2d(2, 2, ceil_mode=True) for _ in range(int(octaves))]
            if octaves >= 0:
                layers.append(nn.Conv2d(in_channels, out_channels, 1, bias=False))
            for i in range(int(-octaves)):
                if i:
                    layers += [LayerNorm2d(out_channels), nn.GELU()]
                layers.append(nn.ConvTranspose2d(out_channels if i else in_channels, out_channels, 2, 2))
            layers += [
                LayerNorm2d(out_channels),
                nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
                LayerNorm2d(out_channels),
            ]
            self.levels[f's{stride}'] = nn.Sequential(*layers)
        self.to(memory_format=torch.channels_last)  # convolutions then give and take channels last

    def forward(self, inputs: BackboneOutput) -> tuple[Tensor, ...]:
        """Return the levels ``(B, out_channels, H/s, W/s)``, contiguous, in the order of out_strides."""
        (feats,) = inputs.maps
        pooled, outs = [feats], []  # by octave: coarse levels share their poolings
        for level in self.levels.values():
            pools = sum(isinstance(layer, nn.MaxPool2d) for layer in level)
            for pool in level[len(pooled) - 1 : pools]:
                pooled.append(pool(pooled[-1]))
            outs.append(level[pools:](pooled[pools]).contiguous())
        return tuple(outs)

    def key_by_stride(self, state: dict[str, Tensor], prefix: str = '') -> None:
        """Name levels by their strides (``levels.s8``) in a state dict that counts them (``levels.0``).

        The stride of a level is read off its layers: a transposed convolution for each octave up, a pooling,
        which has no weights, in front of the convolution for each octave down.

        Args:
            state: Tensors by name, changed in place.
            prefix: How names of this module start there.
        """
        start = re.compile(re.escape(f'{prefix}levels.') + r'(\d+)\.')
        levels = {found[0] for found in map(start.match, state) if found}
        strides = {level: self.in_stride * 2.0 ** _octaves(level, state) for level in levels}
        for name in list(state):
            found = start.match(name)
            if found:
                state[f'{prefix}levels.s{strides[found[0]]:g}.{name[found.end() :]}'] = state.pop(name)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args, **kwargs) -> None:
        self.key_by_stride(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _octaves(level: str, state: Mapping[str, Tensor]) -> int:
    """Return by how many octaves a level is coarser than the backbone's map.

    Args:
        level: How the names of its tensors start.
        state: Tensors by name.
    """
    layers = {
        int(name[len(level) :].split('.')[0]): value
        for name, value in state.items()
        if name.startswith(level) and name.endswith('.weight') and value.ndim == 4
    }
    finer = sum(value.shape[-1] == 2 for value in layers.values())
    return -finer if finer else min(layers, default=0)
