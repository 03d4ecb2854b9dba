# The small dataset with oriented boxes: the corners of an annotation's segmentation, else of its bbox.
_base_ = 'mini.py'

_load = dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox')
_to_rotated = dict(type='ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox'))
train_pipeline = _base_.train_pipeline
train_pipeline[2] = _load
train_pipeline.insert(3, _to_rotated)
test_pipeline = _base_.test_pipeline
test_pipeline[3] = _load
test_pipeline.insert(4, _to_rotated)
train_dataloader = dict(dataset=dict(box_type='qbox', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(box_type='qbox', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='mmslg.OrientedAPMetric', eval_mode='11points')
test_evaluator = val_evaluator
