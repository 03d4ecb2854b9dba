"""Structured captions: their schema, captioners, text encoders and the store a model reads."""

from mmslg.captions.base import Captioner, TextEncoder, build_captioner, build_text_encoder
from mmslg.captions.hashed import HashedTextEncoder
from mmslg.captions.photometric import PhotometricCaptioner
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
    'CaptionRecord',
    'CaptionStore',
    'Captioner',
    'HashedTextEncoder',
    'PhotometricCaptioner',
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
