# What the datasets share: their loaders. Folders, classes and pipelines are in each dataset's fragment.
train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='mmdet.AspectRatioBatchSampler'),
    dataset=dict(type='mmslg.PairedCocoDataset', ann_file='annotations_train.json'),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='mmslg.PairedCocoDataset', ann_file='annotations_test.json', test_mode=True),
)
test_dataloader = val_dataloader
