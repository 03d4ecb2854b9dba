# Cascade R-CNN (arXiv:1712.00726), as MMDetection ships it; pyramid strides 4-64.
_base_ = 'mmdet::_base_/models/cascade-rcnn_r50_fpn.py'

model = dict(
    backbone=dict(_delete_=True),  # the leaf brings its own backbone, neck and preprocessor
    data_preprocessor=dict(_delete_=True),
    neck=None,
    roi_head=dict(
        bbox_head=[
            dict(
                type='Shared2FCBBoxHead',
                in_channels=256,
                fc_out_channels=1024,
                roi_feat_size=7,
                num_classes=3,
                bbox_coder=dict(
                    type='DeltaXYWHBBoxCoder',
                    target_means=[0.0, 0.0, 0.0, 0.0],
                    target_stds=[0.1 / stage, 0.1 / stage, 0.2 / stage, 0.2 / stage],
                ),
                reg_class_agnostic=True,
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
                loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
            )
            for stage in (1, 2, 3)
        ]
    ),
)
