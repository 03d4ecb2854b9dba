# The small dataset with oriented boxes: the corners of an annotation's segmentation, else of its bbox.
_base_ = 'mini.py'

_oriented = dict(box_type='qbox', pipeline=dict(ground_truth=_base_.oriented_boxes))
train_dataloader = dict(dataset=dict(box_type='qbox', pipeline=dict(boxes=_base_.oriented_boxes)))
val_dataloader = dict(dataset=_oriented)
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type='mmslg.OrientedAPMetric',
    eval_mode='11points',
    ann_file=_base_.data_root + 'annotations_test.json',
)
test_evaluator = val_evaluator
