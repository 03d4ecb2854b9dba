# SLGNet on FLIR-aligned over ViT-L/16 DINOv3; its weights have a licence of their own.
_base_ = '../slgnet_flir.py'

backbone = dict(trunk=dict(name='vit_large_patch16_dinov3'))
lgm = pyramid = dict(in_channels=1024)
model = dict(backbone=backbone, neck=[dict(_base_.lgm, **lgm), dict(_base_.pyramid, **pyramid)])
