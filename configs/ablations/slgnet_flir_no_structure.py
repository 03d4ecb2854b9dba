# Ablation of arXiv:2601.02249, row "+ LGM": the baseline with language and without structure. So that the
# infrared image is not lost, the trunk sees the mean of both, as slgnet_flir_baseline.py explains.
_base_ = '../slgnet_flir.py'

model = dict(backbone=dict(trunk_input='mean', interaction_indexes=[]))
