# DroneVehicle: 17990 training, 1469 validation and 8980 test pairs, oriented boxes drawn in the infrared
# images, 640x512 inside a white border that the annotations' `crop` takes away.
# `python tools/convert.py dronevehicle data/dronevehicle` writes the annotations.
_base_ = 'oriented_pairs.py'

data_root = 'data/dronevehicle/'
_data = dict(data_root=data_root, metainfo=dict(classes=('car', 'truck', 'freight-car', 'bus', 'van')))
_size = dict(scale=(640, 512))
_augmentation = dict(**_base_.oriented_augmentation, resize=dict(**_size, ratio_range=(0.8, 1.25)))
train_dataloader = dict(dataset=dict(**_data, pipeline=_augmentation))
# Validation runs on the validation split, and only tools/test.py on the test split.
_tested = dict(**_data, pipeline=dict(resize=_size))
val_dataloader = dict(dataset=dict(**_tested, ann_file='annotations_val.json'))
test_dataloader = dict(dataset=_tested)
_metric = dict(type='mmslg.OrientedAPMetric', eval_mode='11points')  # the article's 80.7 is mAP_50
val_evaluator = dict(**_metric, ann_file=data_root + 'annotations_val.json')
test_evaluator = dict(**_metric, ann_file=data_root + 'annotations_test.json')
