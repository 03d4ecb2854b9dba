# What all datasets of pairs share: pipelines and loaders. A dataset's fragment says where it lies, its
# classes, the size that pairs are scaled to, and how it is evaluated.
#
# The steps of a pipeline have names, so that a config changes the one that it means:
#     train_dataloader = dict(dataset=dict(pipeline=dict(resize=dict(scale=(512, 384)))))
# They run in the order of mmslg.datasets.paired_coco.STEPS; `augment` is a place for one of your own.
train_pipeline = dict(
    visible=dict(type='mmslg.LoadVisible'),
    infrared=dict(type='mmslg.LoadInfrared'),
    boxes=dict(type='mmdet.LoadAnnotations', with_bbox=True),
    resize=dict(
        type='RandomResize',
        scale=(640, 512),  # width, height in pixels
        ratio_range=(1.0, 1.0),  # of them; multi_scale below
        resize_type='mmdet.Resize',
        keep_ratio=True,
    ),
    flip=dict(type='mmdet.RandomFlip', prob=0.5),
    pack=dict(type='mmslg.PackPairedInputs'),
)
# What DINO ships with: short sides of 480-800 pixels where tests have 800, and in half of all cases a crop
# first. DINO cuts it from an image scaled to 400-600 pixels; cut from the image itself it is the same part
# of it, interpolated once. All is relative to `resize.scale`: one size says it all.
multi_scale = (0.6, 1.0)
photometric = dict(
    photometric=dict(  # sees the visible image alone
        type='mmdet.PhotoMetricDistortion',
        brightness_delta=16,  # the stock 32 and (0.5, 1.5) blank out bright skies, and black out nights
        contrast_range=(0.75, 1.25),
        saturation_range=(0.5, 1.5),
        hue_delta=18,
        swap_channels=False,
    ),
    infrared_photometric=dict(type='mmslg.InfraredJitter', gain=(0.7, 1.3), offset=20, noise=5, prob=0.5),
)
augmentation = dict(
    **photometric,
    crop=dict(
        type='RandomApply',
        prob=0.5,
        transforms=[
            dict(
                type='mmdet.RandomCrop',
                crop_type='relative_range',
                crop_size=(0.6, 0.6),  # of height and width, at least
                allow_negative_crop=True,
            )
        ],
    ),
    filter=dict(type='mmdet.FilterAnnotations', min_gt_bbox_wh=(2, 2), keep_empty=False),  # pixels
)
no_augmentation = dict.fromkeys(('photometric', 'infrared_photometric', 'crop', 'rotate', 'filter'))
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
