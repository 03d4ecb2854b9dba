# The control: all pairs get one and the same caption. Language-Guided Modulation becomes one learnt scale and
# shift a channel, without language.
_base_ = '../slgnet_mini.py'

_captions = dict(caption_variant='constant')
train_dataloader = dict(dataset=_captions)
val_dataloader = dict(dataset=_captions)
test_dataloader = val_dataloader
