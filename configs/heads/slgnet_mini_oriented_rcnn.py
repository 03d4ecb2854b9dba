# The miniature with an Oriented R-CNN head: rotated boxes from MMRotate, everything else as it was.
_base_ = [
    '../_base_/models/slg_vit_mini.py',
    '../_base_/heads/oriented_rcnn.py',
    '../_base_/datasets/mini_oriented.py',
    '../_base_/schedules/mini.py',
]
default_scope = 'mmrotate'

model = dict(
    backbone=_base_.backbone,
    neck=[
        _base_.lgm,
        dict(type='mmslg.SimpleFeaturePyramid', in_channels=192, out_strides=(4, 8, 16, 32, 64)),
    ],
    data_preprocessor=_base_.data_preprocessor,
    roi_head=dict(bbox_head=dict(num_classes=3)),
)
model['data_preprocessor']['boxtype2tensor'] = False
