# How the trunk of the miniature was trained; pretrain.py beside it draws the scenes, runs this, and writes
# the trunk. The miniature's pyramid and head stand on a small ViT that sees visible images by day alone: no
# infrared image, no structure, no language. All of the trunk learns.
_base_ = '../../configs/slgnet_mini.py'

max_iters = 1200
model = dict(
    backbone=dict(
        trunk=dict(checkpoint=None, init_values=0.1, trainable='all'),  # LayerScale, half open from the start
        interaction_indexes=(),
    ),
    neck=[_base_.pyramid],
)

_augmentation = dict(
    photometric=[  # by day alone, and yet the light differs
        dict(type='RandomGrayscale', prob=0.1, keep_channels=True),
        dict(
            type='mmdet.PhotoMetricDistortion',
            brightness_delta=24,
            contrast_range=(0.4, 1.4),
            saturation_range=(0.5, 1.5),
            hue_delta=18,
            swap_channels=False,
        ),
    ],
)
train_dataloader = dict(
    batch_size=8,
    dataset=dict(caption_store=None, ann_file='seen_train.json', pipeline=_augmentation),
)
val_dataloader = dict(dataset=dict(caption_store=None, ann_file='seen_test.json'))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=_base_.data_root + 'seen_test.json')
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=10.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=max(max_iters // 16, 1)),
    dict(
        type='CosineAnnealingLR', eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters, T_max=max_iters
    ),
]
train_cfg = dict(max_iters=max_iters, val_interval=max(max_iters // 2, 1))
default_hooks = dict(checkpoint=dict(interval=max(max_iters // 6, 1)))
