# The last four blocks learn too, one more every five epochs, the last first: gradual unfreezing as in ULMFiT
# (arXiv:1801.06146). The article keeps them frozen.
_base_ = '../slgnet_flir.py'

model = dict(backbone=dict(trunk=dict(trainable=4)))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmslg.UnfreezeHook', milestones=[5, 10, 15, 20]),
]
find_unused_parameters = True
