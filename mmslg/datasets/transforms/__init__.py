"""Transforms that load a pair, jitter its infrared image, and pack it with its caption."""

from mmslg.datasets.transforms.formatting import PackPairedInputs
from mmslg.datasets.transforms.loading import LoadInfrared, LoadVisible
from mmslg.datasets.transforms.photometric import InfraredJitter

__all__ = ['InfraredJitter', 'LoadInfrared', 'LoadVisible', 'PackPairedInputs']
