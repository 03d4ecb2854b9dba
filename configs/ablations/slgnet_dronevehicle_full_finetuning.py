# The whole trunk learns: the row "full fine-tuning" of the ablation in arXiv:2601.02249 on DroneVehicle. Its
# rates and its stochastic depth are those of slgnet_flir_full_finetuning.py.
_base_ = '../slgnet_dronevehicle.py'

model = dict(backbone=dict(trunk=dict(trainable='all', drop_path_rate=0.1)))
load_from = 'work_dirs/slgnet_flir_full_finetuning/epoch_50.pth'  # see slgnet_dronevehicle_baseline.py
