# FLIR-aligned: 4129 training and 1013 test pairs of 640x512, boxes drawn in the infrared images.
# `python tools/convert.py flir data/flir_aligned` writes the annotations.
_base_ = 'pairs.py'

data_root = 'data/flir_aligned/'
_data = dict(data_root=data_root, metainfo=dict(classes=('person', 'car', 'bicycle')))
_size = dict(scale=(1000, 800))
_augmentation = dict(**_base_.augmentation, resize=dict(**_size, ratio_range=_base_.multi_scale))
train_dataloader = dict(dataset=dict(**_data, pipeline=_augmentation))
# FLIR-aligned has two splits: the literature validates and reports on the 1013 test pairs. So nothing is
# selected here: there is no save_best, and the figure is that of the last epoch.
val_dataloader = dict(dataset=dict(**_data, pipeline=dict(resize=_size)))
test_dataloader = val_dataloader
val_evaluator = dict(type='mmslg.PairedCocoMetric', ann_file=data_root + 'annotations_test.json')
test_evaluator = val_evaluator
