# SLGNet on FLIR-aligned with a Cascade R-CNN head: another head fragment, and its strides.
_base_ = [
    '../_base_/models/slg_vit_base.py',
    '../_base_/heads/cascade_rcnn.py',
    '../_base_/datasets/flir.py',
    '../_base_/schedules/slgnet_50e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=_base_.backbone,
    neck=[
        _base_.lgm,
        dict(type='mmslg.SimpleFeaturePyramid', in_channels=768, out_strides=(4, 8, 16, 32, 64)),
    ],
    data_preprocessor=_base_.data_preprocessor,
)
