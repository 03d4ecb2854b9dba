# SLGNet on FLIR-aligned over ViT-S/14 DINOv2 at patch 16.
_base_ = '../slgnet_flir.py'

backbone = dict(trunk=dict(name='vit_small_patch14_dinov2'))
lgm = pyramid = dict(in_channels=384)
model = dict(backbone=backbone, neck=[dict(_base_.lgm, **lgm), dict(_base_.pyramid, **pyramid)])
