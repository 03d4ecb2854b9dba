"""The annotation form: pairs and their boxes in one COCO JSON file. This is its only reader.

Datasets, captioning, verification and metrics all come through :func:`read_annotations`, so a file is
refused, or let pass, everywhere alike. The form is COCO's, with these fields of its own::

    info         split, label_modality (visible, ir, both or unknown), data_prefix {img, ir}, data_root
    images       file_name (visible), file_name_ir (infrared, where it is called otherwise; file_name_lwir
                 is read too), crop [x, y, width, height] of what counts of both files, time (day or night)
    annotations  segmentation [[x1, y1, ..., x4, y4]]: the corners of an oriented box

Images lie at ``base/prefix/file_name``. The base is ``info.data_root`` seen from the JSON's folder, else the
``data_root`` that is given, else the JSON's folder; the prefix is ``info.data_prefix``, else visible/ and
infrared/.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmslg.errors import InputError
from mmslg.utils.io import read_json
from mmslg.utils.safe_text import check_number, safe_name, shorten

MODALITIES = ('visible', 'ir', 'both', 'unknown')
TIMES = ('day', 'night')
INFRARED_FIELDS = ('file_name_ir', 'file_name_lwir')
PREFIXES = {'img': 'visible/', 'ir': 'infrared/'}
MAX_ID = 2**53
MAX_SIDE = 100_000
SLACK = 2.0
"""Pixels by which the corners of an oriented box may leave its bbox unremarked."""
UPRIGHT = 0.01
"""Pixels by which the corners of an upright box may miss its edges: they are computed with few digits."""


@dataclass(frozen=True)
class ImagePair:
    """One pair.

    Args:
        id: Its number in the file.
        key: The visible image's ``file_name`` with ``/`` between folders; captions are found by it.
        visible: Path of the visible image.
        infrared: Path of the infrared image.
        width: Pixels, of the crop if there is one.
        height: Likewise.
        crop: x, y, width, height in pixels of what counts of both files; None is all of it.
        time: ``day``, ``night`` or None.
    """

    id: int
    key: str
    visible: str
    infrared: str
    width: int
    height: int
    crop: tuple[int, int, int, int] | None = None
    time: str | None = None


@dataclass(frozen=True)
class Annotations:
    """A checked annotation file.

    Args:
        path: The file.
        pairs: In the order of the file.
        classes: Names of the categories, in the order of the file.
        split: ``info.split``, else the file's name without its ending.
        label_modality: In which image the boxes were drawn: one of ``MODALITIES``.
        data: Its content in COCO form; keys are normal, ``area`` and ``iscrowd`` filled in.
        tolerated: What was let pass, with its number.
    """

    path: str
    pairs: tuple[ImagePair, ...]
    classes: tuple[str, ...]
    split: str
    label_modality: str
    data: dict
    tolerated: Mapping[str, int]

    @property
    def oriented(self) -> bool:
        """Whether the boxes are oriented, see :func:`are_oriented`."""
        return are_oriented([corners_of(box) for box in self.data['annotations']])

    def remarks(self) -> str:
        """Return what was let pass in one text, empty if nothing was."""
        return ', '.join(f'{number} {what}' for what, number in sorted(self.tolerated.items()))


def read_annotations(
    path: str | os.PathLike,
    data_root: str | os.PathLike | None = None,
    data_prefix: Mapping[str, str] | None = None,
    need_boxes: bool = True,
) -> Annotations:
    """Read and check an annotation file; no image is opened.

    Args:
        path: JSON file.
        data_root: Folder of the images where the file does not say it.
        data_prefix: Folders ``img`` and ``ir`` below ``data_root`` in the place of those that the file names.
        need_boxes: Whether a file without any box is refused.

    Raises:
        InputError: Anything in it cannot be used; the message names the file and the entry.
    """
    return _Reader(str(path)).read(data_root, data_prefix, need_boxes)


def read_splits(folder: str | os.PathLike, train: str, test: str) -> tuple[Annotations, Annotations]:
    """Read the two annotation files of a folder that is to be trained on, and look for its images.

    Raises:
        InputError: One cannot be used, an image is missing, or their classes differ.
    """
    first, second = (read_annotations(os.path.join(folder, name), folder) for name in (train, test))
    if first.classes != second.classes:
        raise InputError(
            f'{second.path}: its classes are {", ".join(second.classes)}, those of {first.path} are '
            f'{", ".join(first.classes)}; give both the same categories in the same order'
        )
    for each in (first, second):
        check_files(each.pairs)
    return first, second


def check_files(pairs: Iterable[ImagePair]) -> None:
    """Look for the files of pairs; a folder is listed once, so this is quick.

    Raises:
        InputError: An image is missing.
    """
    pairs = list(pairs)
    listings: dict[str, set[str]] = {}
    for what, prefix in (('visible', 'img'), ('infrared', 'ir')):
        missing = []
        for pair in pairs:
            folder, name = os.path.split(getattr(pair, what))
            if folder not in listings:
                listings[folder] = _files(folder)
            if name not in listings[folder]:
                missing.append(getattr(pair, what))
        if missing:
            raise InputError(
                f'{missing[0]}: no such {what} image; {len(missing)} of {len(pairs)} are missing. Is '
                f'data_root or data_prefix=dict({prefix}=...) right?'
            )


def _files(folder: str) -> set[str]:
    if not os.path.isdir(folder):
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if not entry.is_dir()}


def check_classes(annotations: Annotations, classes: Sequence[str]) -> None:
    """See that a file knows the classes of a model, in their order.

    Raises:
        InputError: ``classes`` is empty, or the file lacks one or has another order.
    """
    file, names = annotations.path, annotations.classes
    if not classes:
        raise InputError(f'{file}: say which classes to use: metainfo=dict(classes={names})')
    absent = [str(name) for name in classes if name not in names]
    if absent:
        raise InputError(
            f'{file}: no category {", ".join(absent)} in the file; it has {", ".join(names)}; set '
            'metainfo=dict(classes=...) accordingly'
        )
    in_file_order = [name for name in names if name in classes]
    if in_file_order != list(classes):
        raise InputError(
            f'{file}: the categories stand in the order {", ".join(in_file_order)}, the config says '
            f'{", ".join(classes)}; COCO evaluation goes by the file, so give them the same order'
        )


class _Reader:
    def __init__(self, path: str) -> None:
        self.path = path
        self.tolerated: Counter[str] = Counter()

    def read(self, data_root: Any, data_prefix: Any, need_boxes: bool) -> Annotations:
        prefix = self._prefix(data_prefix, 'data_prefix')
        data = read_json(self.path)
        names = ('images', 'annotations', 'categories')
        if not isinstance(data, dict) or not all(isinstance(data.get(name), list) for name in names):
            self._refuse('wanted COCO form with the lists images, annotations and categories')
        if not data['images']:
            self._refuse('the file lists no image')
        info = self._info(data.get('info'))
        categories = [self._category(n, c) for n, c in enumerate(data['categories'])]
        self._unique('category id', (c['id'] for c in categories))
        self._unique('category', (c['name'] for c in categories))
        images = [self._image(n, image) for n, image in enumerate(data['images'])]
        self._unique('image id', (image['id'] for image in images))
        boxes = self._boxes(data['annotations'], {i['id']: i for i in images}, {c['id'] for c in categories})
        if need_boxes and not boxes:
            self._refuse('there is no box in it; annotate the pairs first')
        pairs = self._pairs(images, info, data_root, prefix)
        return Annotations(
            self.path,
            pairs,
            tuple(c['name'] for c in categories),
            info.get('split') or Path(self.path).stem,
            info.get('label_modality') or 'unknown',
            dict(data, info=info, images=images, annotations=boxes, categories=categories),
            dict(self.tolerated),
        )

    def _refuse(self, message: str) -> None:
        raise InputError(f'{self.path}: {message}')

    def _unique(self, what: str, values: Iterable[Any]) -> None:
        for value, times in Counter(values).items():
            if times > 1:
                self._refuse(f'{what} {value} is given {times} times')

    def _object(self, entry: Any, what: str, fields: Sequence[str]) -> dict:
        if not isinstance(entry, dict):
            self._refuse(f'{what} should be an object, got {shorten(entry)}')
        lacks = [field for field in fields if entry.get(field) is None]
        if lacks:
            self._refuse(f'{what} lacks {", ".join(lacks)}')
        return entry

    def _whole(self, value: Any, what: str, least: int = -MAX_ID, most: int = MAX_ID) -> int:
        whole = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
        if not whole or abs(value) == float('inf') or value != int(value) or not least <= value <= most:
            reach = '' if least == -MAX_ID else f' from {least} to {most}'
            self._refuse(f'{what} should be a whole number{reach}, got {shorten(value)}')
        if isinstance(value, float):
            self.tolerated['whole numbers written as fractions'] += 1
        return int(value)

    def _text(self, value: Any, what: str) -> str:
        if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > 400:
            self._refuse(f'{what} should be a text of one line, got {shorten(value)}')
        return value

    def _choice(self, value: Any, what: str, choices: Sequence[str]) -> Any:
        if value is not None and value not in choices:
            self._refuse(f'{what} should be {", ".join(choices)}, or be left out; got {shorten(value)}')
        return value

    def _info(self, info: Any) -> dict:
        info = dict(self._object({} if info is None else info, 'info', ()))
        self._choice(info.get('label_modality'), 'info.label_modality', MODALITIES)
        for field in ('split', 'data_root'):
            if info.get(field) is not None:
                self._text(info[field], f'info.{field}')
        self._prefix(info.get('data_prefix'), 'info.data_prefix')
        return info

    def _prefix(self, prefix: Any, what: str) -> dict[str, str]:
        prefix = {} if prefix is None else prefix
        known = isinstance(prefix, Mapping) and set(prefix) <= set(PREFIXES)
        if not known or not all(isinstance(folder, str) for folder in prefix.values()):
            self._refuse(f'{what} should be folders {{"img": ..., "ir": ...}}, got {shorten(prefix)}')
        return dict(prefix)

    def _category(self, number: int, entry: Any) -> dict:
        entry = self._object(entry, f'category number {number + 1}', ('id', 'name'))
        name = self._text(entry['name'], f'the name of category number {number + 1}')
        return dict(entry, id=self._whole(entry['id'], f'the id of category {name}'), name=name)

    def _image(self, number: int, entry: Any) -> dict:
        named = isinstance(entry, dict) and isinstance(entry.get('file_name'), str)
        what = f'image {shorten(entry["file_name"])[1:-1]}' if named else f'image number {number + 1}'
        entry = dict(self._object(entry, what, ('id', 'file_name', 'width', 'height')))
        entry['id'] = self._whole(entry['id'], f'the id of {what}')
        for side in ('width', 'height'):
            entry[side] = self._whole(entry[side], f'the {side} of {what}', 1, MAX_SIDE)
        for field in ('file_name', *INFRARED_FIELDS):
            if entry.get(field) is not None:
                entry[field] = safe_name(entry[field], self.path, f'{field} of {what}')
        names = {entry[field] for field in INFRARED_FIELDS if entry.get(field)}
        if len(names) > 1:
            self._refuse(f'{" and ".join(INFRARED_FIELDS)} of {what} differ; give one of them')
        self._choice(entry.get('time'), f'the time of {what}', TIMES)
        if entry.get('crop') is not None:
            entry['crop'] = self._crop(entry, what)
        return entry

    def _crop(self, entry: dict, what: str) -> list[int]:
        crop = entry['crop']
        if not isinstance(crop, list) or len(crop) != 4:
            self._refuse(f'the crop of {what} should be x, y, width, height, got {shorten(crop)}')
        crop = [self._whole(v, f'the crop of {what}', i // 2, MAX_SIDE) for i, v in enumerate(crop)]
        if crop[2:] != [entry['width'], entry['height']]:
            self._refuse(
                f'the crop of {what} is {crop[2]}x{crop[3]} pixels, its width and height are '
                f'{entry["width"]}x{entry["height"]}; they are those of the crop'
            )
        return crop

    def _boxes(self, entries: list, images: Mapping[int, dict], category_ids: set[int]) -> list[dict]:
        boxes = []
        ids: Counter[int] = Counter()
        for number, entry in enumerate(entries):
            what = f'annotation number {number + 1}'
            if isinstance(entry, dict) and isinstance(entry.get('id'), int):
                what = f'annotation {entry["id"]}'
            entry = dict(self._object(entry, what, ('id', 'image_id', 'category_id', 'bbox')))
            for field in ('id', 'image_id', 'category_id'):
                entry[field] = self._whole(entry[field], f'{field} of {what}')
            ids[entry['id']] += 1
            if entry['image_id'] not in images:
                self._refuse(f'{what} points to image {entry["image_id"]}, which the file does not list')
            if entry['category_id'] not in category_ids:
                self._refuse(f'{what} is of category {entry["category_id"]}, which the file does not list')
            if self._box(entry, what, images[entry['image_id']]):
                boxes.append(entry)
        self._unique('annotation id', ids.elements())
        return boxes

    def _box(self, entry: dict, what: str, image: dict) -> bool:
        """Check the box of an annotation and fill in what may lack; return whether it counts."""
        bbox = entry['bbox']
        if not isinstance(bbox, list) or len(bbox) != 4:
            self._refuse(f'the bbox of {what} should be x, y, width, height, got {shorten(bbox)}')
        entry['bbox'] = x, y, w, h = [check_number(v, self.path, f'the bbox of {what}') for v in bbox]
        if w < 0 or h < 0:
            self._refuse(f'the bbox of {what} is {shorten(bbox)}: width and height must not be negative')
        for flag in ('iscrowd', 'ignore'):
            if entry.get(flag, 0) not in (0, 1, None):
                self._refuse(f'{flag} of {what} should be 0 or 1, got {shorten(entry[flag])}')
            if flag == 'iscrowd' or flag in entry:
                entry[flag] = int(entry.get(flag) or 0)
        if not w or not h:
            self.tolerated['boxes without area, left out'] += 1
            return False
        if x >= image['width'] or y >= image['height'] or x + w <= 0 or y + h <= 0:
            self.tolerated['boxes outside their image, left out'] += 1
            return False
        if x < 0 or y < 0 or x + w > image['width'] or y + h > image['height']:
            self.tolerated['boxes across the edge of their image, kept'] += 1
        area = entry.get('area')
        area = 0 if area is None else check_number(area, self.path, f'the area of {what}', MAX_SIDE**2)
        if area < 0:
            self._refuse(f'the area of {what} is {area}, wanted pixels squared')
        if not area:
            self.tolerated['boxes without a stated area, width times height taken'] += 1
        elif area > 1.01 * w * h + 1:
            self.tolerated['boxes with a stated area beyond width times height, kept'] += 1
        entry['area'] = area or w * h
        self._check_corners(entry, what)
        return True

    def _check_corners(self, entry: dict, what: str) -> None:
        corners = corners_of(entry)
        if corners is None:
            return
        for value in corners:
            check_number(value, self.path, f'the segmentation of {what}')
        x, y, w, h = entry['bbox']
        around = min(corners[::2]), min(corners[1::2]), max(corners[::2]), max(corners[1::2])
        if max(abs(a - b) for a, b in zip(around, (x, y, x + w, y + h))) > SLACK:
            self.tolerated[f'boxes with corners that differ from bbox by over {SLACK:g} pixels'] += 1

    def _pairs(self, images: list[dict], info: dict, data_root: Any, prefix: dict) -> tuple[ImagePair, ...]:
        folder = os.path.dirname(self.path)
        base = folder if data_root is None else str(data_root)
        if info.get('data_root') is not None and not prefix:
            real = os.path.realpath(folder)  # '..' leads out of where a linked folder really lies
            here = folder if real == os.path.abspath(folder) else real
            base = os.path.normpath(os.path.join(here, info['data_root']))
        folders = {
            k: os.path.join(base, prefix.get(k, (info.get('data_prefix') or {}).get(k, default)))
            for k, default in PREFIXES.items()
        }
        pairs = []
        for image in images:
            infrared = next((image[k] for k in INFRARED_FIELDS if image.get(k)), image['file_name'])
            pairs.append(
                ImagePair(
                    image['id'],
                    image['file_name'],
                    os.path.join(folders['img'], image['file_name']),
                    os.path.join(folders['ir'], infrared),
                    image['width'],
                    image['height'],
                    tuple(image['crop']) if image.get('crop') else None,
                    image.get('time'),
                )
            )
        self._unique('the visible image', (pair.visible for pair in pairs))
        self._unique('the infrared image', (pair.infrared for pair in pairs))
        visible = {os.path.normpath(pair.visible): pair.key for pair in pairs}
        for pair in pairs:
            other = visible.get(os.path.normpath(pair.infrared))
            if other is not None:
                self._refuse(
                    f'the infrared image of {pair.key}, {pair.infrared}, is the visible image of {other}; '
                    'give file_name_ir, or info.data_prefix'
                )
        return tuple(pairs)


def corners_of(annotation: Mapping[str, Any]) -> list | None:
    """Return the four corners x1, y1, ..., x4, y4 of an oriented box, None where it has none."""
    polygons = annotation.get('segmentation')
    one = isinstance(polygons, list) and len(polygons) == 1 and isinstance(polygons[0], list)
    return polygons[0] if one and len(polygons[0]) == 8 else None


def are_oriented(corners: Sequence[Sequence[float] | None]) -> bool:
    """Whether boxes are oriented by their corners: all have some, and not all of them are upright."""
    return None not in corners and not all(_on_edges(c[::2]) and _on_edges(c[1::2]) for c in corners)


def _on_edges(values: Sequence[float]) -> bool:
    """Whether each value is about the least or the greatest one."""
    low, high = min(values), max(values)
    return all(min(value - low, high - value) <= UPRIGHT for value in values)
