"""Metrics for runners."""

from mmslg.evaluation.metrics.coco_metric import PairedCocoMetric
from mmslg.evaluation.metrics.kaist_metric import KAISTMissRateMetric
from mmslg.evaluation.metrics.oriented_metric import OrientedAPMetric

__all__ = ['KAISTMissRateMetric', 'OrientedAPMetric', 'PairedCocoMetric']
