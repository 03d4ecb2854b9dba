"""A detector as one graph of fixed size: from the pixels of a pair to features or detections."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmslg.errors import InputError
from mmslg.models.backbones import FrozenTrunk
from mmslg.models.data_preprocessors import swap_modalities
from mmslg.models.modules import first_of
from mmslg.models.necks import LanguageGuidedModulation


class FeatureGraph(nn.Module):
    """Backbone and necks of a detector, with normalisation and padding in front.

    The size is fixed: position embeddings are resampled for it now, and padding is a constant. All of it is
    float32, on the CPU.

    Args:
        model: The detector; it is copied.
        size: Width and height in pixels of the pair behind the resizing of the test pipeline.

    Raises:
        InputError: The preprocessor is not the one for pairs.
    """

    def __init__(self, model: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.detector = deepcopy(model).cpu().float().eval().requires_grad_(False)
        preprocessor = self.detector.data_preprocessor
        if not hasattr(preprocessor, 'modality'):
            raise InputError('the export wants data_preprocessor=mmslg.PairedDetDataPreprocessor')
        self.modality = preprocessor.modality
        self.register_buffer('mean', preprocessor.mean.clone())
        self.register_buffer('std', preprocessor.std.clone())
        self.size = size
        divisor = preprocessor.pad_size_divisor
        self.padded_size = tuple(-(-side // divisor) * divisor for side in size)
        self.pad_value = float(preprocessor.pad_value)
        lgm = first_of(self.detector, LanguageGuidedModulation)
        self.text_dims: int | None = lgm.text_dims if lgm else None
        trunk = first_of(self.detector, FrozenTrunk)
        if trunk is not None:
            trunk.fix_positions(*(side // trunk.patch_size for side in reversed(self.padded_size)))
        self.eval()

    def example(self, batch_size: int, text_shape: tuple[int, ...] | None = None) -> tuple[Tensor, ...]:
        """Return inputs of noise.

        Args:
            batch_size: Pairs.
            text_shape: Shape of a caption's embedding; None takes the pooled one.
        """
        width, height = self.size
        visible = torch.randint(0, 256, (batch_size, height, width, 3), dtype=torch.uint8)
        infrared = torch.randint(0, 256, (batch_size, height, width), dtype=torch.uint8)
        if self.text_dims is None:
            return visible, infrared
        return visible, infrared, torch.randn(batch_size, *(text_shape or (4, self.text_dims)))

    def features(self, visible: Tensor, infrared: Tensor, text: Tensor | None) -> tuple[Tensor, ...]:
        """Normalise and pad a batch, and run backbone and necks."""
        pair = torch.cat([visible.flip(3), infrared.unsqueeze(3)], 3).permute(0, 3, 1, 2).float()
        if self.modality == 'swapped':
            pair = swap_modalities(pair)
        pair = (pair - self.mean) / self.std
        width, height = self.size
        right, bottom = self.padded_size[0] - width, self.padded_size[1] - height
        if right or bottom:
            pair = F.pad(pair, (0, right, 0, bottom), value=self.pad_value)
        rgb, ir = pair[:, :3], pair[:, 3:].expand(-1, 3, -1, -1)
        if self.modality == 'rgb':
            ir = rgb
        elif self.modality == 'ir':
            rgb = ir
        return self.detector.extract_feat({'rgb': rgb, 'ir': ir, 'text': text})

    def forward(self, visible: Tensor, infrared: Tensor, text: Tensor | None = None) -> Any:
        """Return the levels of the pyramid ``(B, C, H/s, W/s)``.

        Args:
            visible: Visible images ``(B, H, W, 3)`` as B, G, R, uint8.
            infrared: Infrared images ``(B, H, W)``, uint8.
            text: Embeddings of captions ``(B, 4, d)`` or ``(B, 4, L, d)``.
        """
        return self.features(visible, infrared, text)
