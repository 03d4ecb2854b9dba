# SLGNet on DroneVehicle with S2A-Net (arXiv:2008.09397), as MMRotate ships it.
_base_ = '../slgnet_dronevehicle.py'

from mmengine.hub import get_config

model = dict(
    get_config('mmrotate::s2anet/s2anet-le90_r50_fpn_1x_dota.py').model,
    _delete_=True,
    backbone=_base_.backbone,
    neck=[_base_.lgm, dict(_base_.pyramid, out_strides=(8, 16, 32, 64, 128))],
    data_preprocessor=_base_.model.data_preprocessor,
)
model['bbox_head_init']['num_classes'] = 5
model['bbox_head_refine'] = [dict(stage, num_classes=5) for stage in model['bbox_head_refine']]
