"""From downloaded datasets of pairs to COCO-form annotations; needs neither torch nor mmdet."""
