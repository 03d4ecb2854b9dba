"""Batches of 4-channel images to normalised pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from torch import Tensor

from mmslg.errors import InputError
from mmslg.registry import MODELS

MODALITIES = ('both', 'rgb', 'ir', 'swapped')
LUMINANCE = (0.299, 0.587, 0.114)
"""Of R, G and B in grey, ITU-R BT.601, as OpenCV reads colour as grey."""


@MODELS.register_module()
class PairedDetDataPreprocessor(DetDataPreprocessor):
    """Normalise each modality with its own statistics, pad, and split the pair.

    The stock class pads, stacks, handles the samples and runs batch augmentations; channel order and
    normalisation are done here, since it accepts three channels only.

    Args:
        mean: Means of R, G, B, IR in 0-255.
        std: Standard deviations of R, G, B, IR.
        modality: ``'both'``; ``'rgb'`` or ``'ir'`` feeds that image in the place of the other one too,
            the control that tells what fusion is worth; ``'swapped'`` feeds each image as the other one, as
            if their files were interchanged (:func:`swap_modalities`).
        pad_size_divisor: Height and width of the batch become multiples of it.
        **kwargs: Further arguments of ``mmdet.DetDataPreprocessor``.

    Raises:
        InputError: Not four statistics, an unknown modality, or (in forward) not four channels.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        modality: str = 'both',
        pad_size_divisor: int = 32,
        **kwargs: Any,
    ) -> None:
        super().__init__(pad_size_divisor=pad_size_divisor, **kwargs)
        if len(mean) != 4 or len(std) != 4:
            raise InputError(f'wanted mean and std of R, G, B, IR, got {list(mean)} and {list(std)}')
        if modality not in MODALITIES:
            raise InputError(f'modality must be one of {", ".join(MODALITIES)}, got {modality!r}')
        self.modality = modality
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(4, 1, 1), False)
        self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(4, 1, 1), False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data: Collated samples; ``inputs`` holds ``img``, a list of ``(4, H, W)`` images as B, G, R,
                IR in 0-255, and optionally ``text``, a list of ``(4, d)`` or ``(4, L, d)`` embeddings.
            training: Whether to run batch augmentations.

        Returns:
            ``inputs``: dict of ``rgb`` ``(B, 3, H, W)``, ``ir`` ``(B, 3, H, W)`` (three equal channels)
            and ``text`` ``(B, ...)`` or None; ``data_samples``.
        """
        data = self.cast_data(data)
        inputs = data['inputs']
        if not isinstance(inputs, dict) or 'img' not in inputs:
            raise InputError(
                'wanted inputs=dict(img=[(4, H, W), ...]), got '
                f'{type(inputs).__name__}; end the pipeline with mmslg.PackPairedInputs'
            )
        images = [self._normalise(img) for img in inputs['img']]
        out = super().forward({**data, 'inputs': images}, training)
        rgb, ir = out['inputs'][:, :3], out['inputs'][:, 3:].expand(-1, 3, -1, -1)
        if self.modality == 'rgb':
            ir = rgb
        elif self.modality == 'ir':
            rgb = ir
        text = inputs.get('text')
        if text is not None:
            text = torch.stack(list(text)).float()
        return {'inputs': {'rgb': rgb, 'ir': ir, 'text': text}, 'data_samples': out['data_samples']}

    def _normalise(self, img: Tensor) -> Tensor:
        if img.ndim != 3 or img.shape[0] != 4:
            raise InputError(
                f'wanted images (4, H, W) as B, G, R, IR, got {tuple(img.shape)}; put mmslg.LoadInfrared '
                'into the pipeline'
            )
        img = img[[2, 1, 0, 3]].float()
        if self.modality == 'swapped':
            img = swap_modalities(img)
        return (img - self.mean) / self.std


def swap_modalities(images: Tensor) -> Tensor:
    """Return pairs as if the files of both images were interchanged.

    Args:
        images: R, G, B, IR in 0-255, ``(..., 4, H, W)``.

    Returns:
        The infrared image three times, and the visible one in grey, of the same shape.
    """
    weights = images.new_tensor(LUMINANCE).view(3, 1, 1)
    grey = (images[..., :3, :, :] * weights).sum(-3, keepdim=True)
    return torch.cat([images[..., 3:, :, :].expand_as(images[..., :3, :, :]), grey], -3)
