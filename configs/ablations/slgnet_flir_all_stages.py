# Structure is injected behind every block, as in the listing of arXiv:2601.02249, in the place of four times.
_base_ = '../slgnet_flir.py'

model = dict(backbone=dict(interaction_indexes=list(range(12))))
