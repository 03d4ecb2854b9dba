# The control: the infrared image takes the place of the visible one too.
_base_ = '../slgnet_flir.py'

model = dict(data_preprocessor=dict(modality='ir'))
