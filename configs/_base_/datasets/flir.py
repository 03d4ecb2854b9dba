# FLIR-aligned: 4129 training and 1013 test pairs of 640x512, boxes drawn in the infrared images.
dataset_type = 'mmslg.PairedCocoDataset'
data_root = 'data/flir_aligned/'
caption_store = data_root + 'captions.safetensors'  # tools/captions/generate.py and encode.py write it
metainfo = dict(classes=('person', 'car', 'bicycle'))
scale = (640, 512)  # width, height in pixels; the aspect is kept

train_pipeline = [
    dict(type='mmslg.LoadVisible'),
    dict(type='mmslg.LoadInfrared'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(type='mmdet.Resize', scale=scale, keep_ratio=True),
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(type='mmslg.LoadCaptionEmbedding', store=caption_store),
    dict(type='mmslg.PackPairedInputs'),
]
test_pipeline = [
    dict(type='mmslg.LoadVisible'),
    dict(type='mmslg.LoadInfrared'),
    dict(type='mmdet.Resize', scale=scale, keep_ratio=True),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(type='mmslg.LoadCaptionEmbedding', store=caption_store),
    dict(type='mmslg.PackPairedInputs'),
]
train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='mmdet.AspectRatioBatchSampler'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations_train.json',
        metainfo=metainfo,
        pipeline=train_pipeline,
    ),
)
# FLIR-aligned has two splits: the literature validates and reports on the 1013 test pairs. So nothing is
# selected here: there is no save_best, and the figure is that of the last epoch.
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations_test.json',
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mmdet.CocoMetric', ann_file=data_root + 'annotations_test.json', metric='bbox', classwise=True
)
test_evaluator = val_evaluator
