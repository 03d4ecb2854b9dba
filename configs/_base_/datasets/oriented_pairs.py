# The same for oriented boxes: the four corners that the annotations give.
_base_ = 'pairs.py'

_flip = dict(prob=0.75, direction=['horizontal', 'vertical', 'diagonal'])
_oriented = dict(box_type='qbox', pipeline=dict(ground_truth=_base_.oriented_boxes))
train_dataloader = dict(dataset=dict(box_type='qbox', pipeline=dict(boxes=_base_.oriented_boxes, flip=_flip)))
val_dataloader = dict(dataset=_oriented)
test_dataloader = val_dataloader
# Seen from above every direction is alike. What is rotated into the picture from outside is black.
oriented_augmentation = dict(
    **_base_.photometric,
    rotate=dict(type='mmrotate.RandomRotate', rotate_type='mmrotate.Rotate', prob=0.5, angle_range=180),
    filter=_base_.augmentation['filter'],
)
