# The control that nobody runs: every pair gets the caption of another one, in training and in testing.
_base_ = '../slgnet_mini.py'

train_dataloader = dict(dataset=dict(caption_variant='shuffled'))
val_dataloader = dict(dataset=dict(caption_variant='shuffled'))
test_dataloader = val_dataloader
