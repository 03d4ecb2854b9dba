# The miniature with the augmentation of the paper-size configs.
_base_ = '../slgnet_mini.py'

train_dataloader = dict(
    dataset=dict(pipeline=dict(**_base_.augmentation, resize=dict(ratio_range=_base_.multi_scale)))
)
