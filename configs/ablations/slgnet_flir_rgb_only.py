# The control: the visible image takes the place of the infrared one too.
_base_ = '../slgnet_flir.py'

model = dict(data_preprocessor=dict(modality='rgb'))
