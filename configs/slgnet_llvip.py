# SLGNet on LLVIP: ViT-B/16 DINOv2, DINO head, 8 GPUs x 1 pair.
_base_ = [
    '_base_/models/slg_vit_base.py',
    '_base_/heads/dino.py',
    '_base_/datasets/llvip.py',
    '_base_/schedules/slgnet_50e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=_base_.backbone,
    neck=[_base_.lgm, _base_.pyramid],
    data_preprocessor=_base_.data_preprocessor,
    bbox_head=dict(num_classes=1),
)
