# Ablation of arXiv:2601.02249 on DroneVehicle, row "baseline (frozen ViT, pixel concat)": neither structure
# nor language, the trunk sees the mean of both images; slgnet_flir_baseline.py explains it. It starts from
# the checkpoint of that config, as the whole model starts from that of slgnet_flir.py; of the ablation's rows
# the article does not say.
_base_ = '../slgnet_dronevehicle.py'

model = dict(
    backbone=dict(trunk_input='mean', interaction_indexes=[]),
    neck=[_base_.model.neck[-1]],
)
load_from = 'work_dirs/slgnet_flir_baseline/epoch_50.pth'
