# The control of the trunk: frozen as ever, with random weights in the place of those that know day images.
# LayerScale starts at 1e-5 as in timm, so that the blocks hand on little but the random patch embedding;
# model.backbone.trunk.init_values=0.1 opens them, as in tools/miniature/trunk.py.
_base_ = '../slgnet_mini.py'

model = dict(backbone=dict(trunk=dict(checkpoint=None)))
