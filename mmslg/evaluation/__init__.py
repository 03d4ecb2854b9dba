"""Evaluation: figures in numpy alone (``functional``), and the metrics that runners use (``metrics``).

Where MMEngine is in use the metrics are registered by importing this package. Without it, as in tools
that read result files, nothing but ``functional`` is needed, and nothing else is imported.
"""

import sys

if 'mmengine' in sys.modules:
    from mmslg.evaluation.metrics import KAISTMissRateMetric

    __all__ = ['KAISTMissRateMetric']
