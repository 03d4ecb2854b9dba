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

_data = dict(data_root=data_root, metainfo=dict(classes=classes))
_size = dict(scale=(1067, 800))
_augmentation = dict(**_base_.augmentation, resize=dict(**_size, ratio_range=_base_.multi_scale))
train_dataloader = dict(dataset=dict(**_data, pipeline=_augmentation))
val_dataloader = dict(dataset=dict(**_data, ann_file='annotations_val.json', pipeline=dict(resize=_size)))
test_dataloader = val_dataloader
val_evaluator = dict(type='mmslg.PairedCocoMetric', ann_file=data_root + 'annotations_val.json')
test_evaluator = val_evaluator
model = dict(
    backbone=_base_.backbone,
    neck=[_base_.lgm, _base_.pyramid],
    data_preprocessor=_base_.data_preprocessor,
    bbox_head=dict(num_classes=len(classes)),
)
