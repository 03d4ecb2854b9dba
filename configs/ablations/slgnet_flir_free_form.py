# The same words as one sentence: arXiv:2601.02249 reports 1.3 mAP50 less than for the structured form.
#     python tools/captions/encode.py data/flir_aligned/captions.jsonl --variant free_form \
#         --encoder open_clip --model ViT-B-16-quickgelu --pretrained openai \
#         --out data/flir_aligned/captions_free_form.safetensors
_base_ = '../slgnet_flir.py'

_captions = dict(caption_variant='free_form', caption_store='captions_free_form.safetensors')
train_dataloader = dict(dataset=_captions)
val_dataloader = dict(dataset=_captions)
test_dataloader = val_dataloader
