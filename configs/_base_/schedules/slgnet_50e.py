# The article's recipe: AdamW, layer-wise decay over the adapters, 50 epochs, batch 8 in total.
# Its AMP is here a frozen trunk in half precision, which needs no loss scaler; --amp takes more, see
# docs/training.md.
max_epochs = 50
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmslg.LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.1),
    paramwise_cfg=dict(decay_rate=0.7),  # adapter i of n learns at 0.7 ** (n - 1 - i) of the rate
    clip_grad=dict(max_norm=1.0, norm_type=2),
)
# The article names no schedule for FLIR and LLVIP. Ours: a short warm-up, one drop near the end.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[42], gamma=0.1),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=8)  # 8 GPUs x 1 pair
