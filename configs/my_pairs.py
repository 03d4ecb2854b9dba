# Your own pairs: copy this file and change these lines, or let tools/new_config.py write it for a folder.
_base_ = 'slgnet_mini.py'  # or slgnet_flir.py, the paper-size model

data_root = 'data/my_pairs/'  # visible/, infrared/, annotations_{train,test}.json, captions.safetensors
classes = ('person', 'car', 'bicycle')  # in the order of the annotation files
scale = (512, 384)  # width, height in pixels that pairs are scaled to; the aspect is kept
# With slgnet_flir.py rather (1000, 800): DINO wants images of some size.

_data = dict(data_root=data_root, metainfo=dict(classes=classes), pipeline=dict(resize=dict(scale=scale)))
train_dataloader = dict(batch_size=2, dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations_test.json')
test_evaluator = val_evaluator
model = dict(bbox_head=dict(num_classes=len(classes)))
