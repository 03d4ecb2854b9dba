"""Transforms that load a pair, and pack it with its caption."""

from mmslg.datasets.transforms.formatting import PackPairedInputs
from mmslg.datasets.transforms.loading import LoadInfrared, LoadVisible

__all__ = ['LoadInfrared', 'LoadVisible', 'PackPairedInputs']
