# Ablation of arXiv:2601.02249 on DroneVehicle, row "+ SA-Adapter": structure without language.
_base_ = '../slgnet_dronevehicle.py'

model = dict(neck=[_base_.model.neck[-1]])
load_from = 'work_dirs/slgnet_flir_no_lgm/epoch_50.pth'  # see slgnet_dronevehicle_baseline.py
