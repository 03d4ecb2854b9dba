# Adapters and LGM of the size that arXiv:2601.02249 reports, 12.1 M; slgnet_flir.py has 3.0 M.
_base_ = [
    '../_base_/models/slg_vit_base_12m.py',
    '../_base_/heads/dino.py',
    '../_base_/datasets/flir.py',
    '../_base_/schedules/slgnet_50e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=_base_.backbone,
    neck=[_base_.lgm, _base_.pyramid],
    data_preprocessor=_base_.data_preprocessor,
    bbox_head=dict(num_classes=3),
)
