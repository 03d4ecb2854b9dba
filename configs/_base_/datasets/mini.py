# The sample scenes that tools/make_sample_scenes.py draws, or another small dataset in one folder.
_base_ = 'pairs.py'

data_root = 'data/sample_scenes/'
_data = dict(
    data_root=data_root,
    metainfo=dict(classes=('person', 'car', 'bicycle')),
    pipeline=dict(resize=dict(scale=(320, 256))),
)
# Iterations are counted, so the sampler never ends.
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=None,
    dataset=_data,
)
val_dataloader = dict(batch_size=8, num_workers=1, dataset=_data)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmslg.PairedCocoMetric', ann_file=data_root + 'annotations_test.json')
test_evaluator = val_evaluator
