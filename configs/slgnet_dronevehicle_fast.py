# At one scale, the size that the images have, and with flips alone: quick, and less than the recipe.
_base_ = 'slgnet_dronevehicle.py'

_fixed = dict(**_base_.no_augmentation, resize=dict(ratio_range=(1.0, 1.0)))
train_dataloader = dict(dataset=dict(pipeline=_fixed))
load_from = 'work_dirs/slgnet_flir_fast/epoch_50.pth'
