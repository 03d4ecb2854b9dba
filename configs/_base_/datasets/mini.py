# A small dataset in one folder: visible/, infrared/, annotations_{train,test}.json, captions.safetensors.
# tools/make_sample_scenes.py writes one; your own pairs take the same form.
# The environment may name others: MMSLG_DATA the folder, MMSLG_TRAIN and MMSLG_TEST the annotation files,
# MMSLG_CAPTIONS the caption store, MMSLG_CLASSES the classes in the order of the annotation files,
# MMSLG_SCALE the size that pairs are scaled to, MMSLG_BATCH how many make a batch. Small objects in larger
# images want 512x384 and a batch of 2.
data_root = '{{$MMSLG_DATA:data/sample_scenes}}/'
train_annotations = '{{$MMSLG_TRAIN:annotations_train.json}}'
test_annotations = '{{$MMSLG_TEST:annotations_test.json}}'
caption_store = '{{$MMSLG_CAPTIONS:data/sample_scenes/captions.safetensors}}'
class_names = '{{$MMSLG_CLASSES:person,car,bicycle}}'
metainfo = dict(classes=tuple(class_names.split(',')))
scale_text = '{{$MMSLG_SCALE:320x256}}'
scale = tuple(int(side) for side in scale_text.split('x'))  # width, height in pixels; the aspect is kept

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
    batch_size=int('{{$MMSLG_BATCH:4}}'),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='mmslg.PairedCocoDataset',
        data_root=data_root,
        ann_file=train_annotations,
        metainfo=metainfo,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmslg.PairedCocoDataset',
        data_root=data_root,
        ann_file=test_annotations,
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mmslg.PairedCocoMetric',
    ann_file=test_annotations if test_annotations.startswith('/') else data_root + test_annotations,
)
test_evaluator = val_evaluator
