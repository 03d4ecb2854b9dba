# The miniature with an Oriented R-CNN head: rotated boxes from MMRotate, everything else as it was.
_base_ = [
    '../_base_/models/slg_vit_mini.py',
    '../_base_/heads/oriented_rcnn.py',
    '../_base_/datasets/mini.py',
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

to_rotated = dict(type='ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox'))
train_pipeline = _base_.train_pipeline
train_pipeline.insert(-1, to_rotated)
test_pipeline = _base_.test_pipeline
test_pipeline.insert(-1, to_rotated)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='DOTAMetric', metric='mAP')
test_evaluator = val_evaluator
visualizer = dict(type='RotLocalVisualizer')
