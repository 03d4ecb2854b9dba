# The control: zeros in the place of captions. What Language-Guided Modulation learns by its biases alone is
# left of it, one scale and shift a channel for all pairs.
_base_ = '../slgnet_mini.py'

_captions = dict(caption_variant='none')
train_dataloader = dict(dataset=_captions)
val_dataloader = dict(dataset=_captions)
test_dataloader = val_dataloader
