# The miniature for oriented boxes: ATSS as MMRotate has it, everything else as it was.
_base_ = [
    '_base_/models/slg_vit_mini.py',
    '_base_/heads/rotated_atss.py',
    '_base_/datasets/mini_oriented.py',
    '_base_/schedules/mini.py',
]
default_scope = 'mmrotate'

model = dict(
    backbone=_base_.backbone,
    neck=[_base_.lgm, _base_.pyramid],
    data_preprocessor=_base_.data_preprocessor,
    bbox_head=dict(
        num_classes=3,
        in_channels=96,
        feat_channels=96,
        stacked_convs=2,
        norm_cfg=dict(type='GN', num_groups=8, requires_grad=True),
        anchor_generator=dict(strides=[8, 16, 32, 64]),
    ),
)
model['data_preprocessor']['boxtype2tensor'] = False
