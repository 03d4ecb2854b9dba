# The control that nobody runs: every pair gets the caption of another one, in training and in testing.
_base_ = '../slgnet_flir.py'

_captions = dict(caption_variant='shuffled')
train_dataloader = dict(dataset=_captions)
val_dataloader = dict(dataset=_captions)
test_dataloader = val_dataloader
