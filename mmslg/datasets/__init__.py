"""Datasets of pairs and their transforms."""

from mmslg.datasets.paired_coco import PairedCocoDataset
from mmslg.datasets.transforms import LoadCaptionEmbedding, LoadInfrared, LoadVisible, PackPairedInputs

__all__ = ['LoadCaptionEmbedding', 'LoadInfrared', 'LoadVisible', 'PackPairedInputs', 'PairedCocoDataset']
