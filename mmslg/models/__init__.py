"""Preprocessor, backbone and necks; heads are stock ones."""

from mmslg.models.backbones import SLGViT
from mmslg.models.data_preprocessors import PairedDetDataPreprocessor
from mmslg.models.necks import LanguageGuidedModulation, SimpleFeaturePyramid

__all__ = ['LanguageGuidedModulation', 'PairedDetDataPreprocessor', 'SLGViT', 'SimpleFeaturePyramid']
