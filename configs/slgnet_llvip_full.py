# LLVIP at the size that its images have: 1.6 times the pixels of slgnet_llvip.
_base_ = 'slgnet_llvip.py'

_size = dict(scale=(1280, 1024))
train_dataloader = dict(dataset=dict(pipeline=dict(resize=_size)))
val_dataloader = dict(dataset=dict(pipeline=dict(resize=_size)))
test_dataloader = val_dataloader
