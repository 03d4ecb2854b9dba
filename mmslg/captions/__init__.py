"""Structured captions: their schema, captioners, text encoders and the store a model reads."""

from mmslg.captions.base import Captioner, CaptionFailure, TextEncoder, build_captioner, build_text_encoder
from mmslg.captions.hashed import HashedTextEncoder
from mmslg.captions.hf_encoder import HuggingFaceTextEncoder
from mmslg.captions.open_clip_encoder import OpenClipTextEncoder
from mmslg.captions.openai_api import OpenAICaptioner
from mmslg.captions.photometric import PhotometricCaptioner
from mmslg.captions.qwen import QwenCaptioner
from mmslg.captions.schema import (
    COMPONENTS,
    VOCABULARY,
    CaptionRecord,
    StructuredCaption,
    image_key,
    read_captions,
    time_of_day,
    write_captions,
)
from mmslg.captions.store import CaptionStore, write_store

__all__ = [
    'COMPONENTS',
    'VOCABULARY',
    'CaptionFailure',
    'CaptionRecord',
    'CaptionStore',
    'Captioner',
    'HashedTextEncoder',
    'HuggingFaceTextEncoder',
    'OpenAICaptioner',
    'OpenClipTextEncoder',
    'PhotometricCaptioner',
    'QwenCaptioner',
    'StructuredCaption',
    'TextEncoder',
    'build_captioner',
    'build_text_encoder',
    'image_key',
    'read_captions',
    'time_of_day',
    'write_captions',
    'write_store',
]
