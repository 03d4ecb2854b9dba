# Structure is injected behind every block, as in the listing of arXiv:2601.02249, in the place of four times.
_base_ = '../slgnet_mini.py'

model = dict(backbone=dict(interaction_indexes=list(range(_base_.backbone.trunk.depth))))
