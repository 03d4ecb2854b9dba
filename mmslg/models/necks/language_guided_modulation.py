"""Language-Guided Modulation (LGM) as a neck."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule

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

    def forward(self, inputs: BackboneOutput) -> BackboneOutput:
        """Return the maps modulated, with the same shapes.

        Raises:
            InputError: The batch has no caption, or one of another width or shape.
        """
        if inputs.text is None:
            raise InputError(
                'LanguageGuidedModulation got no text; give caption_store=... to the dataset, or take lgm '
                'out of the neck'
            )
        self._check(inputs.text.shape)
        return BackboneOutput(tuple(self.modulation(m, inputs.text) for m in inputs.maps), inputs.text)

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
