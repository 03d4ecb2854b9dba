# SLGNet in miniature: learns on two CPU cores in minutes. For trying things out, not for figures.
_base_ = [
    '_base_/models/slg_vit_mini.py',
    '_base_/heads/atss.py',
    '_base_/datasets/mini.py',
    '_base_/default_runtime.py',
]

max_epochs = 40

model = dict(
    backbone=_base_.backbone,
    neck=[_base_.lgm, _base_.pyramid],
    data_preprocessor=_base_.data_preprocessor,
    bbox_head=dict(
        in_channels=96,
        feat_channels=96,
        stacked_convs=2,
        anchor_generator=dict(strides=[8, 16, 32, 64]),
    ),
)

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmslg.LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    paramwise_cfg=dict(decay_rate=0.7),
    clip_grad=dict(max_norm=5.0, norm_type=2),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min_ratio=0.01, begin=0, end=max_epochs, T_max=max_epochs, by_epoch=True,
         convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=8)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=10, max_keep_ckpts=1))
custom_hooks = [
    dict(type='mmslg.CheckpointReportHook'),
    dict(type='mmslg.EffectiveBatchHook'),
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.002, gamma=200),
]
randomness = dict(seed=0)
