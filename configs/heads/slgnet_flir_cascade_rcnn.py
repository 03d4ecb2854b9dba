# SLGNet on FLIR-aligned with Cascade R-CNN (arXiv:1712.00726), as MMDetection ships it.
_base_ = '../slgnet_flir.py'

from mmengine.hub import get_config

model = dict(
    get_config('mmdet::_base_/models/cascade-rcnn_r50_fpn.py').model,
    _delete_=True,
    backbone=_base_.backbone,
    neck=[_base_.lgm, dict(_base_.pyramid, out_strides=(4, 8, 16, 32, 64))],
    data_preprocessor=_base_.data_preprocessor,
)
model['train_cfg']['rpn']['allowed_border'] = -1  # as Faster R-CNN; with 0 small scales hold no anchor of 64
model['roi_head']['bbox_head'] = [dict(stage, num_classes=3) for stage in model['roi_head']['bbox_head']]
