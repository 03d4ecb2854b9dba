"""Backbones."""

from mmslg.models.backbones.frozen_trunk import FrozenTrunk, LoadReport
from mmslg.models.backbones.slg_vit import SLGViT

__all__ = ['FrozenTrunk', 'LoadReport', 'SLGViT']
