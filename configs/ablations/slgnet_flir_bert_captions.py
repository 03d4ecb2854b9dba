# BERT's captions in the place of CLIP's: arXiv:2601.02249 reports 1.9 mAP less.
#     python tools/captions/encode.py data/flir_aligned/captions.jsonl --encoder hf \
#         --model bert-base-uncased --out data/flir_aligned/captions_bert.safetensors
_base_ = '../slgnet_flir.py'

model = dict(neck=[dict(_base_.lgm, text_dims=768), _base_.pyramid])
_captions = dict(caption_store='captions_bert.safetensors')
train_dataloader = dict(dataset=_captions)
val_dataloader = dict(dataset=_captions)
test_dataloader = val_dataloader
