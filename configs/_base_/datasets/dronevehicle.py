# DroneVehicle: 17990 training, 1469 validation and 8980 test pairs, oriented boxes drawn in the infrared
# images, 640x512 inside a white border that the annotations' `crop` takes away.
# tools/dataset_converters/dronevehicle.py writes the annotations.
_base_ = 'pairs.py'

data_root = 'data/dronevehicle/'
caption_store = data_root + 'captions.safetensors'  # tools/captions/generate.py and encode.py write it
metainfo = dict(classes=('car', 'truck', 'freight-car', 'bus', 'van'))
scale = (640, 512)  # width, height in pixels; the aspect is kept

_load = [dict(type='mmslg.LoadVisible'), dict(type='mmslg.LoadInfrared')]
_boxes = [
    dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
    dict(type='ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
]
_resize = dict(type='mmdet.Resize', scale=scale, keep_ratio=True)
_flip = dict(type='mmdet.RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal'])
_pack = [
    dict(type='mmslg.LoadCaptionEmbedding', store=caption_store),
    dict(type='mmslg.PackPairedInputs'),
]
train_pipeline = [*_load, *_boxes, _resize, _flip, *_pack]
test_pipeline = [*_load, _resize, *_boxes, *_pack]

_dataset = dict(data_root=data_root, metainfo=metainfo, box_type='qbox')
train_dataloader = dict(dataset=dict(**_dataset, pipeline=train_pipeline))
# Validation runs on the validation split, and only tools/test.py on the test split.
val_dataloader = dict(dataset=dict(**_dataset, ann_file='annotations_val.json', pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(**_dataset, pipeline=test_pipeline))
val_evaluator = dict(type='mmslg.OrientedAPMetric', eval_mode='11points')  # the article's 80.7 is mAP_50
test_evaluator = val_evaluator
