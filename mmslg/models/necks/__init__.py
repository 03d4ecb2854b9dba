"""Necks."""

from mmslg.models.necks.language_guided_modulation import LanguageGuidedModulation
from mmslg.models.necks.simple_feature_pyramid import SimpleFeaturePyramid

__all__ = ['LanguageGuidedModulation', 'SimpleFeaturePyramid']
