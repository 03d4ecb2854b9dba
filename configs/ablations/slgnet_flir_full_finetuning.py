# The whole trunk learns: the row "full fine-tuning" of the ablation in arXiv:2601.02249. It names no rates;
# these are ViTDet's (arXiv:2203.16527): stochastic depth 0.1, and 0.7 a block, as slgnet_50e.py decays.
_base_ = '../slgnet_flir.py'

model = dict(backbone=dict(trunk=dict(trainable='all', drop_path_rate=0.1)))
