"""Evaluation: figures in numpy alone (``functional``), and the metrics that runners use (``metrics``)."""
