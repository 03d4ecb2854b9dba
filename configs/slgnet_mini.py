# SLGNet in miniature: learns on two CPU cores in minutes. For trying things out, not for figures.
_base_ = [
    '_base_/models/slg_vit_mini.py',
    '_base_/heads/atss.py',
    '_base_/datasets/mini.py',
    '_base_/schedules/mini.py',
    '_base_/default_runtime.py',
]

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
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=6, max_keep_ckpts=1))
custom_hooks = [*_base_.custom_hooks, dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.002, gamma=200)]
randomness = dict(seed=0)
