"""Corruptions of a pair, each a pure function of its pixels, a severity and a seed."""

from mmslg.datasets.corruptions.catalogue import CORRUPTIONS, SEVERITIES, Statistics, corrupt, find, pair_seed

__all__ = ['CORRUPTIONS', 'SEVERITIES', 'Statistics', 'corrupt', 'find', 'pair_seed']
