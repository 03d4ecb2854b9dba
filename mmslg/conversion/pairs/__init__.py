"""Own pairs: folders and labels in the forms that are usual in this field, told by looking."""

from mmslg.conversion.pairs.reader import PairsReader

__all__ = ['PairsReader']
