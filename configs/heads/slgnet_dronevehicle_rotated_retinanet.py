# SLGNet on DroneVehicle with RetinaNet (arXiv:1708.02002) for oriented boxes, as MMRotate ships it.
_base_ = '../slgnet_dronevehicle.py'

from mmengine.hub import get_config

model = dict(
    get_config('mmrotate::rotated_retinanet/rotated-retinanet-rbox-le90_r50_fpn_1x_dota.py').model,
    _delete_=True,
    backbone=_base_.backbone,
    neck=[_base_.lgm, dict(_base_.pyramid, out_strides=(8, 16, 32, 64, 128))],
    data_preprocessor=_base_.model.data_preprocessor,
)
model['bbox_head']['num_classes'] = 5
