"""Transforms that load a pair, jitter, corrupt or take away its images, and pack it with its caption."""

from mmslg.datasets.transforms.corruption import CorruptPair, DelayImage
from mmslg.datasets.transforms.dropout import DropModality
from mmslg.datasets.transforms.formatting import PackPairedInputs
from mmslg.datasets.transforms.loading import LoadInfrared, LoadVisible
from mmslg.datasets.transforms.photometric import InfraredJitter

__all__ = [
    'CorruptPair',
    'DelayImage',
    'DropModality',
    'InfraredJitter',
    'LoadInfrared',
    'LoadVisible',
    'PackPairedInputs',
]
