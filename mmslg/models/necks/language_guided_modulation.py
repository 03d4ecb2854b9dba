"""Language-Guided Modulation (LGM) as a neck."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmslg.errors import InputError
from mmslg.models.layers import CaptionModulation
from mmslg.models.outputs import BackboneOutput
from mmslg.registry import MODELS


@MODELS.register_module()
class LanguageGuidedModulation(BaseModule):
    """Modulate the backbone's maps by the caption of the scene.

    Implements Eq. 10-13 of arXiv:2601.02249 through :class:`CaptionModulation`; stands first in
    ``neck=[lgm, pyramid]``. Pooled captions ``(B, 4, d)`` and tokens ``(B, 4, L, d)`` fit alike.

    Args:
        in_channels: Channels C of the maps.
        text_dims: Width d of the caption embeddings (512 for CLIP ViT-B).
        hidden_dims: Width of the MLPs.
    """

    def __init__(
        self, in_channels: int, text_dims: int = 512, hidden_dims: int = 256, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.text_dims = text_dims
        self.modulation = CaptionModulation(text_dims, in_channels, hidden_dims)
        self._held: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def hold(self, text: Tensor | None) -> None:
        """Modulate everything by one caption from now on, whichever the inputs bring, until the next call.

        For detection in a stream, whose caption changes seldom: scale and shift are computed here, once, and
        the result is that of a batch of one with this caption, to the bit.

        Args:
            text: Caption embedding ``(4, d)`` or ``(4, L, d)``; None goes back to the inputs' captions.

        Raises:
            InputError: The embedding has another width or shape.
        """
        if text is None:
            self._held = None
            return
        text = text[None]
        self._check(text.shape)
        self._held = self.modulation.parameters_of(text.to(next(self.parameters())))

    def forward(self, inputs: BackboneOutput) -> BackboneOutput:
        """Return the maps modulated, with the same shapes.

        Raises:
            InputError: The batch has no caption, or one of another width or shape.
        """
        scale, shift = self._held or self._parameters_of(inputs.text)
        maps = tuple(self.modulation.modulate(m, scale, shift) for m in inputs.maps)
        return BackboneOutput(maps, inputs.text)

    def _parameters_of(self, text: Tensor | None) -> tuple[Tensor, Tensor]:
        if text is None:
            raise InputError(
                'LanguageGuidedModulation got no text; give caption_store=... to the dataset, or take lgm '
                'out of the neck'
            )
        self._check(text.shape)
        return self.modulation.parameters_of(text)

    def _check(self, shape: Sequence[int]) -> None:
        parts, width = self.modulation.num_parts, self.text_dims
        got = f'LanguageGuidedModulation(text_dims={width}) got captions'
        if shape[-1] != width:
            raise InputError(
                f'{got} of width {shape[-1]}; set text_dims to the width of the caption store, or encode the '
                f'captions with an encoder of width {width}'
            )
        if len(shape) not in (3, 4) or shape[1] != parts:
            raise InputError(
                f'{got} {tuple(shape)}, wanted (B, {parts}, {width}) pooled or (B, {parts}, L, {width}) as '
                'tokens; write the store with tools/captions/encode.py'
            )
