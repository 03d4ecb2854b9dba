"""The paper's modules in plain torch: no registry, nothing of OpenMMLab."""

from mmslg.models.layers.ff_adapter import FeatureFusionAdapter, flatten_levels, token_centers
from mmslg.models.layers.modulation import CaptionModulation
from mmslg.models.layers.sobel import SobelGradient
from mmslg.models.layers.sparse_attention import SparseAttention
from mmslg.models.layers.ssim import structural_similarity
from mmslg.models.layers.structural_alignment import HierarchicalStructuralAlignment
from mmslg.models.layers.structure_encoder import StructureEncoder

__all__ = [
    'CaptionModulation',
    'FeatureFusionAdapter',
    'HierarchicalStructuralAlignment',
    'SobelGradient',
    'SparseAttention',
    'StructureEncoder',
    'flatten_levels',
    'structural_similarity',
    'token_centers',
]
