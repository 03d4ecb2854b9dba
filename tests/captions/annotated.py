"""Annotation files without boxes, which captioning takes."""

import json

from mmslg.annotations import read_annotations
from mmslg.captions.generation import merge_pairs


def write_annotations(path, images, size=(40, 32)):
    """Write an annotation file of images of one size (width, height); return its path."""
    images = [dict(id=i, width=size[0], height=size[1]) | image for i, image in enumerate(images)]
    path.write_text(json.dumps(dict(images=images, annotations=[], categories=[])))
    return path


def pairs_of(*paths):
    return merge_pairs(read_annotations(path, need_boxes=False) for path in paths)
