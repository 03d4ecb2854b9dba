# SLGNet on FLIR-aligned with Deformable DETR (arXiv:2010.04159), as MMDetection ships it. Its sampling
# offsets and reference points learn at the full rate here, not at a tenth of it.
_base_ = '../slgnet_flir.py'

from mmengine.hub import get_config

model = dict(
    get_config('mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py').model,
    _delete_=True,
    backbone=_base_.backbone,
    neck=[_base_.lgm, _base_.pyramid],
    data_preprocessor=_base_.data_preprocessor,
)
model['bbox_head']['num_classes'] = 3
