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
        crop: x, y, width, height in pixels of what counts of both files; None is all of them.
    """

    key: str
    visible: Path
    infrared: Path
    crop: tuple[int, int, int, int] | None = None


def default_folders(data: dict) -> dict[str, str]:
    """Return the folders of the images, relative to the dataset's root, as an annotation file names them.

    Returns:
        ``img`` and ``ir``: ``info.data_prefix``, which the converters write, else visible/ and infrared/.
    """
    info = data.get('info')
    prefix = info.get('data_prefix') if isinstance(info, dict) else None
    prefix = prefix if isinstance(prefix, dict) else {}
    return dict(img=str(prefix.get('img', 'visible/')), ir=str(prefix.get('ir', 'infrared/')))


def infrared_name(image: dict) -> str:
    """Return the file name of an image's infrared partner."""
    return next((image[field] for field in INFRARED_FIELDS if image.get(field)), image['file_name'])


def crop_of(image: dict) -> tuple[int, int, int, int] | None:
    """Return what counts of an image's files, as ``crop`` says.

    Raises:
        InputError: It is not four whole numbers x, y, width, height that make sense.
    """
    crop = image.get('crop')
    if crop is None:
        return None
    whole = isinstance(crop, (list, tuple)) and len(crop) == 4 and all(type(v) is int for v in crop)
    if not whole or min(crop[:2]) < 0 or min(crop[2:]) < 1:
        raise InputError(f'{image.get("file_name")}: crop={crop!r} should be x, y, width, height in pixels')
    return tuple(crop)


def read_pairs(
    annotations: Iterable[str | os.PathLike],
    visible: str | os.PathLike | None = None,
    infrared: str | os.PathLike | None = None,
    root: str | os.PathLike | None = None,
) -> list[ImagePair]:
    """List the pairs of one or more COCO-form annotation files.

    Args:
        annotations: JSON files whose ``images`` have a ``file_name`` and perhaps one of ``INFRARED_FIELDS``.
        visible: Folder of the visible images; None is the one that the annotation file names below
            ``root``, see :func:`default_folders`.
        infrared: Folder of the infrared images, likewise.
        root: Folder of the dataset; None is where each annotation file lies.

    Returns:
        Pairs in the order of the files. A pair that several files share comes once.

    Raises:
        InputError: A file is not in COCO form, a folder is missing, or one name means two pairs.
    """
    pairs: dict[str, ImagePair] = {}
    for path in map(Path, annotations):
        data = read_annotations(path)
        base = path.parent if root is None else Path(root)
        named = default_folders(data)
        folders = [
            _folder(chosen, base / named[key], what)
            for chosen, key, what in ((visible, 'img', 'visible'), (infrared, 'ir', 'infrared'))
        ]
        for number, image in enumerate(data['images']):
            pair = _pair(path, number, image, *folders)
            if pairs.setdefault(pair.key, pair) != pair:
                raise InputError(
                    f'{path}: {pair.key} is {pair.visible} here but {pairs[pair.key].visible} in an earlier '
                    'file; caption these annotation files into separate outputs'
                )
    if not pairs:
        raise InputError('the annotation files hold no images')
    return list(pairs.values())


def read_annotations(path: str | os.PathLike) -> dict:
    """Read a COCO-form annotation file.

    Raises:
        InputError: It has no list of images.
    """
    data = read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get('images'), list):
        raise InputError(f"{path}: wanted COCO-form annotations with a list 'images'")
    return data


def _folder(chosen: str | os.PathLike | None, named: Path, what: str) -> Path:
    folder = named if chosen is None else Path(chosen)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder, wanted the {what} images; name it with --{what}, or the dataset's "
            'folder with --root'
        )
    return folder


def _pair(path: Path, number: int, image: Any, visible: Path, infrared: Path) -> ImagePair:
    if not isinstance(image, dict) or 'file_name' not in image:
        raise InputError(f"{path}: image {number} has no 'file_name'")
    try:
        key = image_key(image['file_name'])
        return ImagePair(key, visible / key, infrared / image_key(infrared_name(image)), crop_of(image))
    except InputError as error:
        raise InputError(f'{path}: image {number}: {error}') from None
