# The control: no Language-Guided Modulation. Captions are loaded as ever, and nothing reads them.
_base_ = '../slgnet_mini.py'

model = dict(neck=[_base_.pyramid])
