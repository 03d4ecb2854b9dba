"""Optimizer constructor and hooks."""

from mmslg.engine.checkpoint_report import CheckpointReportHook
from mmslg.engine.effective_batch import EffectiveBatchHook
from mmslg.engine.layer_decay import LayerDecayOptimWrapperConstructor

__all__ = ['CheckpointReportHook', 'EffectiveBatchHook', 'LayerDecayOptimWrapperConstructor']
