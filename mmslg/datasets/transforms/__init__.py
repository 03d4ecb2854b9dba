"""Transforms that load a pair and its caption, and pack them."""

from mmslg.datasets.transforms.formatting import PackPairedInputs
from mmslg.datasets.transforms.loading import LoadCaptionEmbedding, LoadInfrared, LoadVisible

__all__ = ['LoadCaptionEmbedding', 'LoadInfrared', 'LoadVisible', 'PackPairedInputs']
