"""Which pairs of images an annotation file speaks of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmslg.captions.schema import image_key
from mmslg.errors import InputError
from mmslg.utils.io import read_json

INFRARED_FIELDS = ('file_name_ir', 'file_name_lwir')
"""Fields of an image that may name its infrared file; without one it is called as the visible one."""


@dataclass(frozen=True)
class ImagePair:
    """The files of one pair.

    Args:
        key: Key of the image, its ``file_name`` in the annotations.
        visible: Visible image.
        infrared: Infrared image.
    """

    key: str
    visible: Path
    infrared: Path


def read_pairs(
    annotations: Iterable[str | os.PathLike],
    visible: str | os.PathLike | None = None,
    infrared: str | os.PathLike | None = None,
) -> list[ImagePair]:
    """List the pairs of one or more COCO-form annotation files.

    Args:
        annotations: JSON files whose ``images`` have a ``file_name`` and perhaps one of ``INFRARED_FIELDS``.
        visible: Folder of the visible images; None is ``visible/`` beside each annotation file.
        infrared: Folder of the infrared images; None is ``infrared/`` beside each annotation file.

    Returns:
        Pairs in the order of the files. A pair that several files share comes once.

    Raises:
        InputError: A file is not in COCO form, a folder is missing, or one name means two pairs.
    """
    pairs: dict[str, ImagePair] = {}
    for path in map(Path, annotations):
        folders = [
            _folder(chosen, path, name) for chosen, name in ((visible, 'visible'), (infrared, 'infrared'))
        ]
        for number, image in enumerate(_images(path)):
            pair = _pair(path, number, image, *folders)
            if pairs.setdefault(pair.key, pair) != pair:
                raise InputError(
                    f'{path}: {pair.key} is {pair.visible} here but {pairs[pair.key].visible} in an earlier '
                    'file; caption these annotation files into separate outputs'
                )
    if not pairs:
        raise InputError('the annotation files hold no images')
    return list(pairs.values())


def _images(path: Path) -> list[Any]:
    data = read_json(path)
    images = data.get('images') if isinstance(data, dict) else None
    if not isinstance(images, list):
        raise InputError(f"{path}: wanted COCO-form annotations with a list 'images'")
    return images


def _folder(chosen: str | os.PathLike | None, annotations: Path, name: str) -> Path:
    folder = annotations.parent / name if chosen is None else Path(chosen)
    if annotations.is_file() and not folder.is_dir():
        raise InputError(f'{folder}: no such folder, wanted the {name} images; name it with --{name}')
    return folder


def _pair(path: Path, number: int, image: Any, visible: Path, infrared: Path) -> ImagePair:
    if not isinstance(image, dict) or 'file_name' not in image:
        raise InputError(f"{path}: image {number} has no 'file_name'")
    try:
        key = image_key(image['file_name'])
        other = next((image[field] for field in INFRARED_FIELDS if image.get(field)), key)
        return ImagePair(key, visible / key, infrared / image_key(other))
    except InputError as error:
        raise InputError(f'{path}: image {number}: {error}') from None
