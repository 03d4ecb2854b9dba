# A departure: 100 epochs, and drops after 88 % and 96 % of them, as UniRGB-IR (arXiv:2404.17360) trains on
# FLIR-aligned; the article says 50.
_base_ = 'slgnet_flir.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=100, by_epoch=True, milestones=[88, 96], gamma=0.1),
]
train_cfg = dict(max_epochs=100)
