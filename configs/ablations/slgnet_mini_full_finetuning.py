# The whole trunk learns. Rates fall by 0.7 a block from the last to the first, after ViTDet
# (arXiv:2203.16527), as in slgnet_flir_full_finetuning.py. Those of the four adapters fall with them, to 0.34
# of the full rate at the first, which those of slgnet_mini.py do not.
_base_ = '../slgnet_mini.py'

model = dict(backbone=dict(trunk=dict(trainable='all')))
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.7))
