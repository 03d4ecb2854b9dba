# Ablation of arXiv:2601.02249 on DroneVehicle, row "+ LGM": the baseline with language and without structure.
_base_ = '../slgnet_dronevehicle.py'

model = dict(backbone=dict(trunk_input='mean', interaction_indexes=[]))
load_from = 'work_dirs/slgnet_flir_no_structure/epoch_50.pth'  # see slgnet_dronevehicle_baseline.py
