# The weights of both modalities sum to 1, as the listing of arXiv:2601.02249 has it; Eq. 6 does not divide.
_base_ = '../slgnet_mini.py'

model = dict(backbone=dict(structure=dict(alignment=dict(normalize_weights=True))))
