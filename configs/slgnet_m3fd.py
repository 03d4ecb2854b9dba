# SLGNet on M3FD: mostly 1024x768, no official split: say with your figures which lists you used, as
# `python tools/convert.py m3fd data/m3fd` does, which writes the annotations. DINO head, 8 GPUs x 1 pair.
_base_ = [
    '_base_/models/slg_vit_base.py',
    '_base_/heads/dino.py',
    '_base_/datasets/pairs.py',
    '_base_/schedules/slgnet_50e.py',
    '_base_/default_runtime.py',
]

data_root = 'data/m3fd/'
classes = ('people', 'car', 'bus', 'motorcycle', 'lamp', 'truck')

_data = dict(
    data_root=data_root,
    metainfo=dict(classes=classes),
    pipeline=dict(resize=dict(scale=(640, 512))),  # 1024x768 becomes 640x480
)
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=dict(**_data, ann_file='annotations_val.json'))
test_dataloader = val_dataloader
val_evaluator = dict(type='mmslg.PairedCocoMetric', ann_file=data_root + 'annotations_val.json')
test_evaluator = val_evaluator
model = dict(
    backbone=_base_.backbone,
    neck=[_base_.lgm, _base_.pyramid],
    data_preprocessor=_base_.data_preprocessor,
    bbox_head=dict(num_classes=len(classes)),
)
