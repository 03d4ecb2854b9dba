"""Size and completeness of an image file; see :func:`mmslg.utils.image_io.probe_image`."""

from mmslg.utils.image_io import probe_image

__all__ = ['probe_image']
