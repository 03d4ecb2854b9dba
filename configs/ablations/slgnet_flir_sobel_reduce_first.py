# Channels are averaged before the gradient, as in the listing of arXiv:2601.02249: opposite edges cancel.
_base_ = '../slgnet_flir.py'

model = dict(backbone=dict(structure=dict(alignment=dict(reduce_first=True))))
