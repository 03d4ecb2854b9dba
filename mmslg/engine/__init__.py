"""Optimizer constructor, hooks, and the runner with its checkpoints."""

from mmslg.engine.checkpoint_hook import CheckpointHook
from mmslg.engine.checkpoint_report import CheckpointReportHook
from mmslg.engine.layer_decay import LayerDecayOptimWrapperConstructor
from mmslg.engine.precision_hook import PrecisionHook
from mmslg.engine.run_report import RunReportHook
from mmslg.engine.runner import PairRunner
from mmslg.engine.unfreeze_hook import UnfreezeHook

__all__ = [
    'CheckpointHook',
    'CheckpointReportHook',
    'LayerDecayOptimWrapperConstructor',
    'PairRunner',
    'PrecisionHook',
    'RunReportHook',
    'UnfreezeHook',
]
