# SLGNet on DroneVehicle with RoI-Transformer (arXiv:1812.00155), as MMRotate ships it.
_base_ = '../slgnet_dronevehicle.py'

from mmengine.hub import get_config

model = dict(
    get_config('mmrotate::roi_trans/roi-trans-le90_r50_fpn_1x_dota.py').model,
    _delete_=True,
    backbone=_base_.backbone,
    neck=[_base_.lgm, dict(_base_.pyramid, out_strides=(4, 8, 16, 32, 64))],
    data_preprocessor=_base_.model.data_preprocessor,
)
model['roi_head']['bbox_head'] = [dict(stage, num_classes=5) for stage in model['roi_head']['bbox_head']]
model['train_cfg']['rpn']['allowed_border'] = -1  # with 0 640x512 pixels hold no anchor of stride 64
