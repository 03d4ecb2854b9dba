# All tokens of a caption, R^(Lxd) as Eq. 10 of arXiv:2601.02249 has them, in the place of one vector a part.
#     python tools/captions/encode.py data/flir_aligned/captions.jsonl --encoder open_clip \
#         --model ViT-B-16-quickgelu --pretrained openai --pooling tokens \
#         --out data/flir_aligned/captions_tokens.safetensors
_base_ = '../slgnet_flir.py'

_captions = dict(caption_store='captions_tokens.safetensors')
train_dataloader = dict(dataset=_captions)
val_dataloader = dict(dataset=_captions)
test_dataloader = val_dataloader
