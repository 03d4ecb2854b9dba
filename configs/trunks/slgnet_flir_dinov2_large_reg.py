# SLGNet on FLIR-aligned over ViT-L/14 DINOv2 with registers at patch 16.
_base_ = '../slgnet_flir.py'

backbone = dict(trunk=dict(name='vit_large_patch14_reg4_dinov2'))
lgm = pyramid = dict(in_channels=1024)
model = dict(backbone=backbone, neck=[dict(_base_.lgm, **lgm), dict(_base_.pyramid, **pyramid)])
