# KAIST: paired training labels (AR-CNN), 2252 improved test labels (Liu et al.), 640x512. Persons are
# learned; people, person? and cyclist are left out in training, and ignored in the evaluation.
# `python tools/convert.py kaist data/kaist` writes the annotations.
_base_ = 'pairs.py'

data_root = 'data/kaist/'
_data = dict(data_root=data_root, metainfo=dict(classes=('person',)))
_size = dict(scale=(1000, 800))
_augmentation = dict(**_base_.augmentation, resize=dict(**_size, ratio_range=_base_.multi_scale))
train_dataloader = dict(dataset=dict(**_data, pipeline=_augmentation))
# KAIST has no validation split: the literature validates and reports on the 2252 test pairs. So nothing is
# selected here: there is no save_best, and the figure is that of the last epoch. The article's 19.88 is, by
# its size, the setting ALL; Reasonable is another figure.
val_dataloader = dict(dataset=dict(**_data, pipeline=dict(resize=_size)))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mmslg.KAISTMissRateMetric',
    ann_file=data_root + 'annotations_test.json',
    protocol='matlab',
    settings=('reasonable', 'all'),
)
test_evaluator = val_evaluator
