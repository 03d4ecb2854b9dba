# SLGNet on DroneVehicle with FCOS (arXiv:1904.01355) for oriented boxes, as MMRotate ships it.
# Its rotated IoU loss trains on a GPU alone.
_base_ = '../slgnet_dronevehicle.py'

from mmengine.hub import get_config

model = dict(
    get_config('mmrotate::rotated_fcos/rotated-fcos-le90_r50_fpn_1x_dota.py').model,
    _delete_=True,
    backbone=_base_.backbone,
    neck=[_base_.lgm, dict(_base_.pyramid, out_strides=(8, 16, 32, 64, 128))],
    data_preprocessor=_base_.model.data_preprocessor,
)
model['bbox_head']['num_classes'] = 5
