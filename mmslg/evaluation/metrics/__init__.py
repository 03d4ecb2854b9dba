"""Metrics for runners."""

from mmslg.evaluation.metrics.kaist_metric import KAISTMissRateMetric

__all__ = ['KAISTMissRateMetric']
