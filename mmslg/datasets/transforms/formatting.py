"""Packing a pair for the model."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.datasets.transforms import PackDetInputs

from mmslg.errors import InputError
from mmslg.registry import TRANSFORMS

META_KEYS = (
    'img_id',
    'img_path',
    'ir_path',
    'file_name',
    'crop',
    'ori_shape',
    'img_shape',
    'ir_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'time',
    'corruption',
)


@TRANSFORMS.register_module()
class PackPairedInputs(PackDetInputs):
    """Pack a pair, its caption and its boxes.

    Required key: ``img`` ``(H, W, 4)``. Returns ``inputs=dict(img=(4, H, W)[, text])`` and
    ``data_samples`` as ``mmdet.PackDetInputs`` does.

    Args:
        meta_keys: What the sample's metainfo keeps.

    Raises:
        InputError: The image has not four channels.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        super().__init__(meta_keys=tuple(meta_keys))

    def transform(self, results: dict) -> dict:
        """Pack one sample."""
        shape = results['img'].shape
        if len(shape) != 3 or shape[2] != 4:
            raise InputError(
                f'{results.get("img_path")}: PackPairedInputs wants an image (H, W, 4), got '
                f'{tuple(shape)}; put mmslg.LoadInfrared into the pipeline, and behind it nothing that '
                'drops the infrared channel (PhotoMetricDistortion belongs before it)'
            )
        if min(results['img'].strides) < 0:  # a flipped row of one pixel, which NumPy calls contiguous
            results['img'] = results['img'].copy()
        packed = super().transform(results)
        packed['inputs'] = {'img': packed['inputs']}
        if 'text' in results:
            packed['inputs']['text'] = results['text']
        return packed
