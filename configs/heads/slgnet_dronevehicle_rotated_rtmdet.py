# SLGNet on DroneVehicle with RTMDet (arXiv:2212.07784) for oriented boxes, as MMRotate ships it. Its
# rotated IoU loss trains on a GPU alone.
_base_ = '../slgnet_dronevehicle.py'

from mmengine.hub import get_config

model = dict(
    get_config('mmrotate::rotated_rtmdet/rotated_rtmdet_l-3x-dota.py').model,
    _delete_=True,
    backbone=_base_.backbone,
    neck=[_base_.lgm, dict(_base_.pyramid, out_strides=(8, 16, 32))],
    data_preprocessor=_base_.model.data_preprocessor,
    use_syncbn=False,  # it would synchronise between CPUs as well, which fails; sync_bn does so on GPUs
)
model['bbox_head'].update(num_classes=5, norm_cfg=dict(type='BN'))
sync_bn = 'torch'
