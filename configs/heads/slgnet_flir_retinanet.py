# SLGNet on FLIR-aligned with RetinaNet (arXiv:1708.02002), as MMDetection ships it.
_base_ = '../slgnet_flir.py'

from mmengine.hub import get_config

model = dict(
    get_config('mmdet::_base_/models/retinanet_r50_fpn.py').model,
    _delete_=True,
    backbone=_base_.backbone,
    neck=[_base_.lgm, dict(_base_.pyramid, out_strides=(8, 16, 32, 64, 128))],
    data_preprocessor=_base_.data_preprocessor,
)
model['bbox_head']['num_classes'] = 3
