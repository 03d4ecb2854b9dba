"""Labels in COCO files as people publish them: one file for many images, any ids, no paths to rely on."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mmslg.annotations import INFRARED_FIELDS, are_oriented, corners_of
from mmslg.conversion.layout import Box, Labels, is_image, modality_of
from mmslg.errors import InputError
from mmslg.utils.io import read_text
from mmslg.utils.safe_text import check_number, safe_name, shorten

MAX_BYTES = 200_000_000
_OWN = '"mmslg.conversion'


@dataclass(frozen=True)
class CocoImage:
    """One image entry: ``file_name``, the infrared one if there is any, and the boxes with the size."""

    visible: str
    infrared: str | None
    labels: Labels


def find_coco(root: Path, files: Iterable[str], infrared_names: bool = False) -> list[str]:
    """Return the COCO files among ``files``; those that a converter wrote are passed over.

    Args:
        root: Folder of the dataset.
        files: Paths below it.
        infrared_names: Whether only files that name infrared images count.

    Raises:
        InputError: A JSON file cannot be read as text.
    """
    wanted = INFRARED_FIELDS if infrared_names else ('annotations',)
    found = []
    for path in files:
        if path.lower().endswith('.json'):
            text = read_text(root / path, MAX_BYTES)
            if any(f'"{field}"' in text for field in wanted) and _OWN not in text[:4000]:
                found.append(path)
    return found


class CocoFile(NamedTuple):
    """The image entries of a file, and its class names in the order of their ids."""

    images: tuple[CocoImage, ...]
    classes: tuple[str, ...]


def parse_coco(file: Path, corners: bool = False) -> CocoFile:
    """Read a COCO file; categories are told by their names, whatever their ids are.

    Args:
        file: The file.
        corners: Whether to take the corners in place of the ``bbox`` where the ``segmentation`` of every
            annotation is one quadrangle and not all of them are upright: these are oriented boxes.

    Raises:
        InputError: The file is not in COCO form; the message names it.
    """
    try:
        data = json.loads(read_text(file, MAX_BYTES))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f'{file}: not valid JSON ({" ".join(str(error)[:80].split())})') from None
    lists = [data.get(k) if isinstance(data, dict) else None for k in ('images', 'annotations', 'categories')]
    if not all(isinstance(x, list) and all(isinstance(e, dict) for e in x) for x in lists):
        raise InputError(f'{file}: wanted COCO form with the lists images, annotations and categories')
    images, annotations, categories = lists
    names: dict[object, str] = {}
    for category in categories:
        identity, name = _key(file, category, 'id', 'category'), category.get('name')
        if not isinstance(name, str) or not name:
            raise InputError(f"{file}: a category has no 'name'")
        if names.setdefault(identity, name) != name:
            raise InputError(f'{file}: category {shorten(identity)} has two names')
    boxes: dict[object, list[Box]] = {}
    quads = _quads(file, annotations) if corners else None
    for n, annotation in enumerate(annotations):
        owner = _key(file, annotation, 'image_id', f'annotation {n}')
        boxes.setdefault(owner, []).append(_box(file, n, annotation, names, quads and quads[n]))
    found: dict[str, CocoImage] = {}
    for n, image in enumerate(images):
        entry = _image(file, n, image, boxes.pop(_key(file, image, 'id', f'image {n}'), ()))
        if found.setdefault(entry.visible, entry) is not entry:
            raise InputError(f'{file}: {shorten(entry.visible)} is listed twice')
    if boxes:
        raise InputError(
            f'{file}: annotations point to image {shorten(next(iter(boxes)))}, which is not listed'
        )
    ordered = sorted(names, key=lambda i: (isinstance(i, str), i))
    return CocoFile(tuple(found.values()), tuple(names[i] for i in ordered))


class ImageFinder:
    """Finds the files that a COCO file means, whose names often lack their folder.

    Args:
        files: All files of the dataset's folder.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self._by_name: dict[str, list[str]] = {}
        for path in filter(is_image, files):
            self._by_name.setdefault(posixpath.basename(path), []).append(path)

    def __bool__(self) -> bool:
        """Whether there is any image."""
        return bool(self._by_name)

    def find(self, name: str, modality: str) -> str | None:
        """Return the image whose path is or ends with ``name``, preferring folders of the modality."""
        paths = self._by_name.get(posixpath.basename(name), [])
        candidates = [p for p in paths if p == name or p.endswith('/' + name)]
        return next((p for p in candidates if modality_of(p) == modality), next(iter(candidates), None))


def _image(file: Path, n: int, image: dict, boxes: Iterable[Box]) -> CocoImage:
    what = f'image {n}'
    visible = safe_name(image.get('file_name'), file, f'{what}, file_name')
    infrared = next((image[k] for k in INFRARED_FIELDS if k in image), None)
    if infrared is not None:
        infrared = safe_name(infrared, file, f'{what}, file_name_lwir')
    size = tuple(int(check_number(image.get(k), file, f'{what}, {k}')) for k in ('width', 'height'))
    return CocoImage(visible, infrared, Labels(tuple(boxes), size if min(size) > 0 else None))


def _key(file: Path, entry: dict, field: str, what: str) -> object:
    value = entry.get(field)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise InputError(f"{file}: {what} has no usable '{field}', got {shorten(value)}")
    return value


def _box(file: Path, n: int, annotation: dict, names: dict, quad: tuple | None) -> Box:
    what = f'annotation {n}'
    bbox = annotation.get('bbox')
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise InputError(f"{file}: {what} should have a 'bbox' of 4 numbers, got {shorten(bbox)}")
    x, y, w, h = (check_number(v, file, f'{what}, bbox') for v in bbox)
    category = _key(file, annotation, 'category_id', what)
    if category not in names:
        raise InputError(f'{file}: {what} is of category {shorten(category)}, which is not listed')
    return Box(names[category], quad or (x, y, x + w, y + h))


def _quads(file: Path, annotations: list[dict]) -> list[tuple[int | float, ...]] | None:
    """Return the corners of every annotation, None if they are no oriented boxes."""
    found = []
    for n, annotation in enumerate(annotations):
        points = corners_of(annotation)
        if points is None:
            return None
        found.append(tuple(check_number(v, file, f'annotation {n}, segmentation') for v in points))
    return found if are_oriented(found) else None
