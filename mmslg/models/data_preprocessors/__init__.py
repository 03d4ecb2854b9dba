"""Data preprocessors."""

from mmslg.models.data_preprocessors.paired_data_preprocessor import PairedDetDataPreprocessor

__all__ = ['PairedDetDataPreprocessor']
