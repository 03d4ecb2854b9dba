# The upper bound of language: captions that say what the generator of the sample scenes knows of each.
#     python tools/make_sample_scenes.py data/sample_scenes \
#         --captions data/sample_scenes/captions_oracle.jsonl
#     python tools/captions/encode.py data/sample_scenes/captions_oracle.jsonl --encoder hashed \
#         --out data/sample_scenes/captions_oracle.safetensors
_base_ = '../slgnet_mini.py'

_captions = dict(caption_store='captions_oracle.safetensors')
train_dataloader = dict(dataset=_captions)
val_dataloader = dict(dataset=_captions)
test_dataloader = val_dataloader
