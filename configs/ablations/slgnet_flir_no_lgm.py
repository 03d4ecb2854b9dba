# Ablation of arXiv:2601.02249, row "+ SA-Adapter": structure without language. The trunk sees the visible
# image, as in the whole model. Captions are loaded as ever, and nothing reads them.
_base_ = '../slgnet_flir.py'

model = dict(neck=[_base_.pyramid])
