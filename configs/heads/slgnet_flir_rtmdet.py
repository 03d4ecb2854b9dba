# SLGNet on FLIR-aligned with RTMDet (arXiv:2212.07784), as MMDetection ships it.
_base_ = '../slgnet_flir.py'

from mmengine.hub import get_config

model = dict(
    get_config('mmdet::rtmdet/rtmdet_l_8xb32-300e_coco.py').model,
    _delete_=True,
    backbone=_base_.backbone,
    neck=[_base_.lgm, dict(_base_.pyramid, out_strides=(8, 16, 32))],
    data_preprocessor=_base_.data_preprocessor,
    use_syncbn=False,  # it would synchronise between CPUs as well, which fails; sync_bn does so on GPUs
)
model['bbox_head'].update(num_classes=3, norm_cfg=dict(type='BN'))
sync_bn = 'torch'
