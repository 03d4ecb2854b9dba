# The same for oriented boxes: the four corners that the annotations give.
_base_ = 'pairs.py'

_flip = dict(prob=0.75, direction=['horizontal', 'vertical', 'diagonal'])
_oriented = dict(box_type='qbox', pipeline=dict(ground_truth=_base_.oriented_boxes))
train_dataloader = dict(dataset=dict(box_type='qbox', pipeline=dict(boxes=_base_.oriented_boxes, flip=_flip)))
val_dataloader = dict(dataset=_oriented)
test_dataloader = val_dataloader
