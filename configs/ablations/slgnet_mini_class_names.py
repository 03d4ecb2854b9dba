# The list of the classes in the place of the caption: arXiv:2601.02249 reports it worse than no language.
#     python tools/captions/encode.py data/sample_scenes/captions.jsonl --variant class_names \
#         --classes person car bicycle --encoder hashed \
#         --out data/sample_scenes/captions_class_names.safetensors
_base_ = '../slgnet_mini.py'

_captions = dict(caption_variant='class_names', caption_store='captions_class_names.safetensors')
train_dataloader = dict(dataset=_captions)
val_dataloader = dict(dataset=_captions)
test_dataloader = val_dataloader
