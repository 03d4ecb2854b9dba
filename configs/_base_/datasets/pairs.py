# What all datasets of pairs share: pipelines and loaders. A dataset's fragment says where it lies, its
# classes, the size that pairs are scaled to, and how it is evaluated.
#
# The steps of a pipeline have names, so that a config changes the one that it means:
#     train_dataloader = dict(dataset=dict(pipeline=dict(resize=dict(scale=(512, 384)))))
# They run in the order of mmslg.datasets.paired_coco.STEPS. Steps that are None are places to fill:
# `photometric` sees the visible image alone, `augment` the pair.
train_pipeline = dict(
    visible=dict(type='mmslg.LoadVisible'),
    photometric=None,
    infrared=dict(type='mmslg.LoadInfrared'),
    boxes=dict(type='mmdet.LoadAnnotations', with_bbox=True),
    resize=dict(type='mmdet.Resize', scale=(640, 512), keep_ratio=True),  # width, height in pixels
    augment=None,
    flip=dict(type='mmdet.RandomFlip', prob=0.5),
    pack=dict(type='mmslg.PackPairedInputs'),
)
test_pipeline = dict(
    visible=dict(type='mmslg.LoadVisible'),
    infrared=dict(type='mmslg.LoadInfrared'),
    resize=dict(type='mmdet.Resize', scale=(640, 512), keep_ratio=True),
    ground_truth=dict(type='mmdet.LoadAnnotations', with_bbox=True),  # in pixels of the original image
    pack=dict(type='mmslg.PackPairedInputs'),
)
# In the place of the steps that load boxes, with box_type='qbox': corners, learned as centre, size and angle.
oriented_boxes = [
    dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
    dict(type='mmrotate.ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
]
# Files are meant below data_root; tools/captions/generate.py and encode.py write the caption store.
train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='mmdet.AspectRatioBatchSampler'),
    dataset=dict(
        type='mmslg.PairedCocoDataset',
        ann_file='annotations_train.json',
        caption_store='captions.safetensors',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmslg.PairedCocoDataset',
        ann_file='annotations_test.json',
        caption_store='captions.safetensors',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
