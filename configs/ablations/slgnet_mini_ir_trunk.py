# The trunk sees the infrared image. That of arXiv:2601.02249 sees the visible one, at night nearly empty.
_base_ = '../slgnet_mini.py'

model = dict(backbone=dict(trunk_input='ir'))
