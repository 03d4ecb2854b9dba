# LLVIP: 12025 training and 3463 test pairs of 1280x1024 by night, one XML file for both images of a pair.
# `python tools/convert.py llvip data/llvip` writes the annotations.
_base_ = 'pairs.py'

data_root = 'data/llvip/'
_data = dict(data_root=data_root, metainfo=dict(classes=('person',)))
_size = dict(scale=(1000, 800))
_augmentation = dict(**_base_.augmentation, resize=dict(**_size, ratio_range=_base_.multi_scale))
train_dataloader = dict(dataset=dict(**_data, pipeline=_augmentation))
# LLVIP has two splits: the literature validates and reports on the 3463 test pairs. So nothing is selected
# here: there is no save_best, and the figure is that of the last epoch. The labels were corrected on
# 2023-02-21 (8302 test boxes since, 7931 before): the manifest says which ones these are.
val_dataloader = dict(dataset=dict(**_data, pipeline=dict(resize=_size)))
test_dataloader = val_dataloader
val_evaluator = dict(type='mmslg.PairedCocoMetric', ann_file=data_root + 'annotations_test.json')
test_evaluator = val_evaluator
