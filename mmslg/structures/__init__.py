"""What the parts of the model hand to each other."""

from mmslg.structures.backbone_output import BackboneOutput

__all__ = ['BackboneOutput']
