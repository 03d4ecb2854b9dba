# SLGNet on FLIR-aligned over ViT-B/16 DINOv3; its weights have a licence of their own.
_base_ = '../slgnet_flir.py'

backbone = dict(trunk=dict(name='vit_base_patch16_dinov3'))
model = dict(backbone=backbone)
