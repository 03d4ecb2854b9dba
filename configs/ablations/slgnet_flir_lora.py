# Low-rank updates of the attention of every block (LoRA, arXiv:2106.09685), beside the adapters; wants peft.
_base_ = '../slgnet_flir.py'

model = dict(backbone=dict(trunk=dict(lora=dict(r=8, lora_alpha=16, target_modules=['qkv', 'proj']))))
