# The article's recipe for KAIST and DroneVehicle: fine-tuned from FLIR or LLVIP with cosine annealing.
_base_ = 'slgnet_50e.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=_base_.max_epochs,
        T_max=_base_.max_epochs,
        eta_min_ratio=0.01,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
