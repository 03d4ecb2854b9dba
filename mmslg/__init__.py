"""SLGNet: visible and infrared object detection for MMDetection and MMRotate."""

from mmslg.version import __version__, check_stack

check_stack()

__all__ = ['__version__']
