"""Pairs as MMDetection's datasets; ``paired_coco`` and ``transforms`` are imported when a config names them."""
