# At one scale, the size that the images have, and with flips alone: quick, and less than the recipe.
_base_ = 'slgnet_flir.py'

_size = dict(scale=(640, 512))
_fixed = dict(**_base_.no_augmentation, resize=dict(**_size, ratio_range=(1.0, 1.0)))
train_dataloader = dict(dataset=dict(pipeline=_fixed))
val_dataloader = dict(dataset=dict(pipeline=dict(resize=_size)))
test_dataloader = val_dataloader
