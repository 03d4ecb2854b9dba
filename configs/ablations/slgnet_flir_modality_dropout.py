# Every third training pair lacks an image, the visible or the infrared one by even odds: what a detector
# becomes that has seen a camera fail. Tests have both images; tools/analysis/robustness.py takes one away.
_base_ = '../slgnet_flir.py'

train_dataloader = dict(dataset=dict(pipeline=dict(augment=dict(type='mmslg.DropModality', prob=1 / 3))))
