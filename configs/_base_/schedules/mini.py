# Minutes on two CPU cores. It counts iterations, so that a folder of 16 pairs learns as one of 240 does.
_base_ = '../default_runtime.py'

max_iters = 800
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmslg.LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1.5e-3, weight_decay=0.05),
    paramwise_cfg=dict(decay_rate=1.0),  # from scratch, every adapter learns at the full rate
    clip_grad=dict(max_norm=35.0, norm_type=2),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=max(max_iters // 16, 1)),
    dict(
        type='CosineAnnealingLR', eta_min_ratio=0.01, by_epoch=False, begin=0, end=max_iters, T_max=max_iters
    ),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max(max_iters // 4, 1))
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=4)
default_hooks = dict(
    logger=dict(interval=20, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=max(max_iters // 4, 1), max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', ema_type='mmslg.LearntEMA', momentum=0.002, gamma=200),
]
