"""Data preprocessors."""

from mmslg.models.data_preprocessors.paired_data_preprocessor import (
    PairedDetDataPreprocessor,
    swap_modalities,
)

__all__ = ['PairedDetDataPreprocessor', 'swap_modalities']
