# Captions of slgnet_mini_oracle_captions.py by the trained encoder of slgnet_mini_minilm_captions.py. These
# two say how to get both; the store is captions_oracle_minilm.safetensors.
_base_ = 'slgnet_mini_minilm_captions.py'

_captions = dict(caption_store='captions_oracle_minilm.safetensors')
train_dataloader = dict(dataset=_captions)
val_dataloader = dict(dataset=_captions)
test_dataloader = val_dataloader
