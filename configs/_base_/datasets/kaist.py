# KAIST: paired training labels (AR-CNN), 2252 improved test labels (Liu et al.), 640x512. Persons are
# learnt; people, person? and cyclist are left out in training, and ignored in the evaluation.
# tools/dataset_converters/kaist.py writes the annotations, and into them where the images lie.
_base_ = 'pairs.py'

data_root = 'data/kaist/'
caption_store = data_root + 'captions.safetensors'  # tools/captions/generate.py and encode.py write it
metainfo = dict(classes=('person',))
scale = (640, 512)  # width, height in pixels; the aspect is kept

_load = [dict(type='mmslg.LoadVisible'), dict(type='mmslg.LoadInfrared')]
_boxes = dict(type='mmdet.LoadAnnotations', with_bbox=True)
_resize = dict(type='mmdet.Resize', scale=scale, keep_ratio=True)
_pack = [
    dict(type='mmslg.LoadCaptionEmbedding', store=caption_store),
    dict(type='mmslg.PackPairedInputs'),
]
train_pipeline = [*_load, _boxes, _resize, dict(type='mmdet.RandomFlip', prob=0.5), *_pack]
test_pipeline = [*_load, _resize, _boxes, *_pack]

train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline))
# KAIST has no validation split: the literature validates and reports on the 2252 test pairs. So nothing is
# selected here: there is no save_best, and the figure is that of the last epoch. The article's 19.88 is, by
# its size, the setting ALL; Reasonable is another figure.
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mmslg.KAISTMissRateMetric',
    ann_file=data_root + 'annotations_test.json',
    protocol='matlab',
    settings=('reasonable', 'all'),
)
test_evaluator = val_evaluator
