"""A part of an annotated split."""

from __future__ import annotations

import os
from pathlib import Path

from mmslg.annotations import read_annotations
from mmslg.errors import InputError
from mmslg.utils.io import write_json


def write_first_pairs(
    annotations: str | os.PathLike, first: int, out: str | os.PathLike, data_root: str | None = None
) -> tuple[int, int]:
    """Write an annotation file cut down to its first pairs, which says where the images lie.

    Args:
        annotations: File in COCO form.
        first: How many pairs.
        out: The file to write.
        data_root: Folder of the dataset, where the file names none; None is the file's own folder.

    Returns:
        How many pairs and boxes it has.

    Raises:
        InputError: The annotations cannot be used or have fewer pairs, or ``out`` cannot be written.
    """
    source = read_annotations(annotations)
    data = source.data
    if not 1 <= first <= len(source.pairs):
        raise InputError(f'--first {first}: {annotations} lists {len(source.pairs)} images')
    data['images'] = data['images'][:first]
    kept = {image['id'] for image in data['images']}
    data['annotations'] = [a for a in data['annotations'] if a['image_id'] in kept]
    folder, target = (os.path.realpath(os.path.dirname(path)) for path in (annotations, out))
    named = data['info'].get('data_root')
    root = Path(folder) / named if named else Path(os.path.realpath(data_root or folder))
    data['info']['data_root'] = os.path.relpath(root, target)
    write_json(out, data)
    return len(data['images']), len(data['annotations'])
