# SLGNet on FLIR-aligned over ViT-B/14 DINOv2 with registers at patch 16.
_base_ = '../slgnet_flir.py'

backbone = dict(trunk=dict(name='vit_base_patch14_reg4_dinov2'))
model = dict(backbone=backbone)
