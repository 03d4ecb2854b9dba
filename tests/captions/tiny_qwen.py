"""A Qwen2.5-VL of a few thousand weights, built on the spot and saved as the real ones are."""

import json

import cv2
import numpy as np
import torch
from captions.annotated import write_annotations
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from mmslg.captions.captioners.prompt import INFRARED_LABEL, PROMPT, VISIBLE_LABEL, complaint
from mmslg.captions.schema import StructuredCaption

DAY = StructuredCaption('clear daylight', 'highway', 'dense vehicles', 'low thermal contrast')
NIGHT = StructuredCaption('very dark night', 'urban street', 'few pedestrians', 'high thermal contrast')
LEVELS = {220: DAY, 20: NIGHT}
"""Brightness of the visible image, and what a trained model says about it."""

MAX_PIXELS = 56 * 56
MAX_STEPS = 300
SPECIAL = ['<|endoftext|>', '<|im_start|>', '<|im_end|>', '<|vision_start|>', '<|vision_end|>']
SPECIAL += ['<|image_pad|>', '<|video_pad|>']
PAD, START, END, VISION_START, VISION_END, IMAGE, VIDEO = range(len(SPECIAL))
WORDS = Regex(r'\s|\w+|[^\w\s]')

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "{{ '<|vision_start|><|image_pad|><|vision_end|>' }}{% elif 'text' in part %}{{ part['text'] }}"
    "{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def build(folder, trained=True):
    """Save a tiny model with its processor; a trained one answers by brightness, any other babbles."""
    torch.manual_seed(0)
    processor = _processor()
    config = Qwen2_5_VLConfig(
        text_config=dict(
            vocab_size=len(processor.tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=4096,
            rope_parameters=dict(rope_type='default', rope_theta=10000.0, mrope_section=[2, 3, 3]),
            bos_token_id=PAD,
            eos_token_id=END,
            pad_token_id=PAD,
        ),
        vision_config=dict(
            depth=2,
            hidden_size=32,
            intermediate_size=64,
            num_heads=2,
            out_hidden_size=64,
            fullatt_block_indexes=[1],
        ),
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=VISION_START,
        vision_end_token_id=VISION_END,
        bos_token_id=PAD,
        eos_token_id=END,
        pad_token_id=PAD,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = END
    model.generation_config.pad_token_id = PAD
    if trained:
        _train(model, processor)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def write_pairs(folder, num):
    """Write bright and dark pairs in COCO form, by turns; return the annotation file."""
    images = [dict(id=i, file_name=f'{i:02d}.png') for i in range(num)]
    for image in images:
        for name, array in zip(
            ('visible', 'infrared'), images_of(list(LEVELS)[image['id'] % 2]), strict=True
        ):
            (folder / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / name / image['file_name']), array)
    return write_annotations(folder / 'train.json', images, (56, 56))


def wanted(num):
    """Return what a trained model says about the pairs of ``write_pairs``."""
    return {f'{i:02d}.png': list(LEVELS.values())[i % 2] for i in range(num)}


def images_of(level):
    return np.full((56, 56, 3), level, np.uint8), np.full((56, 56), 120, np.uint8)


def _processor():
    answers = [json.dumps(caption.to_dict()) for caption in LEVELS.values()]
    splitter = pre_tokenizers.Split(WORDS, 'isolated')
    texts = [PROMPT, VISIBLE_LABEL, INFRARED_LABEL, complaint(''), 'user assistant\n', *answers]
    words = sorted({word for text in texts for word, _ in splitter.pre_tokenize_str(text)})
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, '<unk>', *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token='<unk>'))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token='<unk>',
        pad_token=SPECIAL[PAD],
        eos_token=SPECIAL[END],
        additional_special_tokens=SPECIAL[1:],
    )
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(max_pixels=MAX_PIXELS),
        tokenizer=fast,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=CHAT_TEMPLATE,
    )


def _train(model, processor):
    messages = [
        dict(
            role='user',
            content=[
                dict(type='text', text=VISIBLE_LABEL),
                dict(type='image'),
                dict(type='text', text=INFRARED_LABEL),
                dict(type='image'),
                dict(type='text', text=PROMPT),
            ],
        )
    ]
    question = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    pictures = [
        np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
        for level in LEVELS
        for image in images_of(level)
    ]
    texts = [question + json.dumps(caption.to_dict()) + '<|im_end|>' for caption in LEVELS.values()]
    inputs = processor(text=texts, images=pictures, padding=True, padding_side='left', return_tensors='pt')
    labels = inputs['input_ids'].clone()
    answer = len(processor.tokenizer(question)['input_ids'])
    for row, text in zip(labels, texts, strict=True):
        row[: len(row) - len(processor.tokenizer(text)['input_ids']) + answer] = -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(MAX_STEPS):
        loss = model(**inputs, labels=labels).loss
        if loss < 0.004:
            break
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
