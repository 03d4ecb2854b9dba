# The trunk sees the mean of both normalised images, as the baseline's does; all else is the whole model.
_base_ = '../slgnet_mini.py'

model = dict(backbone=dict(trunk_input='mean'))
