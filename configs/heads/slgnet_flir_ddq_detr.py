# SLGNet on FLIR-aligned with DDQ-DETR (arXiv:2303.12776), as MMDetection ships it.
_base_ = '../slgnet_flir.py'

from mmengine.hub import get_config

model = dict(
    get_config('mmdet::ddq/ddq-detr-4scale_r50_8xb2-12e_coco.py').model,
    _delete_=True,
    backbone=_base_.backbone,
    neck=[_base_.lgm, _base_.pyramid],
    data_preprocessor=_base_.data_preprocessor,
)
model['bbox_head']['num_classes'] = 3
