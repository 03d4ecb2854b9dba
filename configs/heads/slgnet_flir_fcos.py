# SLGNet on FLIR-aligned with FCOS (arXiv:2006.09214) with its later improvements (centre sampling, GIoU),
# as MMDetection ships it.
_base_ = '../slgnet_flir.py'

from mmengine.hub import get_config

model = dict(
    get_config('mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py').model,
    _delete_=True,
    backbone=_base_.backbone,
    neck=[_base_.lgm, dict(_base_.pyramid, out_strides=(8, 16, 32, 64, 128))],
    data_preprocessor=_base_.data_preprocessor,
)
model['bbox_head']['num_classes'] = 3
