# LLVIP: 12025 training and 3463 test pairs of 1280x1024 by night, one XML file for both images of a pair.
# tools/dataset_converters/llvip.py writes the annotations, and into them where the images lie.
_base_ = 'pairs.py'

data_root = 'data/llvip/'
caption_store = data_root + 'captions.safetensors'  # tools/captions/generate.py and encode.py write it
metainfo = dict(classes=('person',))
scale = (640, 512)  # width, height in pixels: half the size; the article names none

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
# LLVIP has two splits: the literature validates and reports on the 3463 test pairs. So nothing is selected
# here: there is no save_best, and the figure is that of the last epoch. The labels were corrected on
# 2023-02-21 (8302 test boxes since, 7931 before): the manifest says which ones these are.
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='mmslg.PairedCocoMetric', ann_file=data_root + 'annotations_test.json')
test_evaluator = val_evaluator
