# Cascade R-CNN as MMDetection ships it; pyramid strides 4-64.
_base_ = 'mmdet::_base_/models/cascade-rcnn_r50_fpn.py'

model = dict(backbone=dict(_delete_=True), neck=None)
