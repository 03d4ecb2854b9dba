# SLGNet on DroneVehicle: ViT-B/16 DINOv2, Oriented R-CNN head, 8 GPUs x 1 pair.
_base_ = [
    '_base_/models/slg_vit_base.py',
    '_base_/heads/oriented_rcnn.py',
    '_base_/datasets/dronevehicle.py',
    '_base_/schedules/slgnet_finetune.py',
    '_base_/default_runtime.py',
]
default_scope = 'mmrotate'

model = dict(
    backbone=_base_.backbone,
    neck=[
        _base_.lgm,
        dict(type='mmslg.SimpleFeaturePyramid', in_channels=768, out_strides=(4, 8, 16, 32, 64)),
    ],
    data_preprocessor=_base_.data_preprocessor,
    roi_head=dict(bbox_head=dict(num_classes=5)),
)
model['data_preprocessor']['boxtype2tensor'] = False
# As in the article this is a fine-tuning: train configs/slgnet_flir.py first, or give
# --cfg-options load_from=None.
load_from = 'work_dirs/slgnet_flir/epoch_50.pth'
