# SSIM of the features with the reference gradient, as the diagram of arXiv:2601.02249 has Eq. 4-5; its prose
# and its listing compare gradients.
_base_ = '../slgnet_mini.py'

model = dict(backbone=dict(structure=dict(alignment=dict(compare='feature'))))
