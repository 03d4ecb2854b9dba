"""Structured captions: their schema, captioners, text encoders and the store a model reads."""

from mmslg.captions.captioners.base import Captioner, CaptionFailure
from mmslg.captions.encoders.base import TextEncoder
from mmslg.captions.schema import CaptionRecord, StructuredCaption, read_captions, write_captions
from mmslg.captions.store import CaptionStore, write_store

__all__ = [
    'CaptionFailure',
    'CaptionRecord',
    'CaptionStore',
    'Captioner',
    'StructuredCaption',
    'TextEncoder',
    'read_captions',
    'write_captions',
    'write_store',
]
