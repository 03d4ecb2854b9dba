# Ablation of arXiv:2601.02249, row "baseline (frozen ViT, pixel concat)": neither structure nor language.
# A frozen patch embedding has three channels. For the six of both images its kernel is taken twice and
# halved, which by linearity embeds the mean of the two normalised images: that is what the trunk sees.
# Only the pyramid and the head learn.
_base_ = '../slgnet_flir.py'

model = dict(
    backbone=dict(trunk_input='mean', interaction_indexes=[]),
    neck=[_base_.pyramid],
)
