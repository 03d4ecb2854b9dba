"""KAIST ground truth in JSON: the form of the published file, and COCO form with the KAIST fields."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmslg.errors import InputError
from mmslg.evaluation.functional.kaist_ground_truth import PERSON, GroundTruth, finite
from mmslg.evaluation.functional.kaist_names import image_key, time_of_day


def parse_annotations(data: Any, source: str) -> GroundTruth:
    """Turn the content of an annotation file into ground truth.

    Images are named by ``im_name`` (published form) or ``file_name``. A box counts as ignored if its
    ``ignore`` or ``iscrowd`` is set or its category is not ``person``. The published file numbers its
    annotations from 0; a file in COCO form that has no id 0 gives the part of annotation 0, which one
    protocol loses, to the first box of its first image, so that both forms yield equal figures.

    Args:
        data: What the JSON holds.
        source: The file's name, for messages.

    Raises:
        InputError: Something is missing or not of the right kind; the message names the entry.
    """
    lists = ('images', 'annotations')
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in lists):
        hint = '; a list of detections is no ground truth' if isinstance(data, list) else ''
        raise InputError(f'{source}: wanted JSON with the lists images and annotations{hint}')
    images = _read_images(data['images'], source)
    names = tuple(name for name, _, _ in images)
    position = {identity: i for i, (_, identity, _) in enumerate(images)}
    person = _person_category(data.get('categories'), source)
    rows = [
        _read_annotation(annotation, number, position, person, source)
        for number, annotation in enumerate(data['annotations'])
    ]
    rows.sort(key=lambda row: row[0])
    table = np.array([row[1:] for row in rows], dtype=float).reshape(-1, 8)
    first = table[:, 7] > 0
    if not first.any() and 'im_name' not in data['images'][0]:
        first = np.arange(len(table)) == 0
    return GroundTruth(
        source=source,
        names=names,
        image_ids=tuple(identity for _, identity, _ in images),
        times=np.array([time for _, _, time in images], dtype='U5'),
        image=np.array([row[0] for row in rows], dtype=int),
        boxes=table[:, :4],
        heights=table[:, 4],
        occlusion=table[:, 5].astype(int),
        ignore=table[:, 6] > 0,
        first=first,
        person_category=person,
    )


def _read_images(images: list, source: str) -> list[tuple[str, Any, str]]:
    """Return (name, id, time of day) of each image, sorted by name."""
    if not images:
        raise InputError(f'{source}: the file lists no image')
    rows = []
    for number, image in enumerate(images):
        name = image.get('im_name', image.get('file_name')) if isinstance(image, dict) else None
        identity = image.get('id') if isinstance(image, dict) else None
        if not isinstance(name, str) or not isinstance(identity, (int, str)):
            raise InputError(f'{source}: images[{number}] wants an id and a file_name')
        key = image_key(name)
        time = time_of_day(key) if key else image.get('time')
        rows.append((key or name, identity, time if time in ('day', 'night') else ''))
    for what, values in (('name', [row[0] for row in rows]), ('id', [row[1] for row in rows])):
        if len(set(values)) < len(values):
            twice = next(v for i, v in enumerate(values) if v in values[:i])
            raise InputError(f'{source}: two images have the {what} {twice}')
    return sorted(rows, key=lambda row: row[0])


def _person_category(categories: Any, source: str) -> int:
    """Return the id of the category ``person``; 1 in a file without categories."""
    if not categories:
        return 1
    known = [c for c in categories if isinstance(c, dict)] if isinstance(categories, list) else []
    for category in known:
        if category.get('name') == PERSON and isinstance(category.get('id'), int):
            return category['id']
    names = ', '.join(str(category.get('name'))[:40] for category in known[:20])
    raise InputError(f'{source}: no category {PERSON}; it has {names or "none"}')


def _read_annotation(annotation: Any, number: int, position: dict, person: int, source: str) -> tuple:
    """Return image, x, y, w, h, height, occlusion, ignored or not, id 0 or not."""
    where = f'{source}: annotations[{number}]'
    if not isinstance(annotation, dict):
        raise InputError(f'{where} is no object')
    identity = annotation.get('image_id')
    if not isinstance(identity, (int, str)) or identity not in position:
        raise InputError(f'{where} points to image {identity!r}, which the file does not list')
    box = finite(annotation.get('bbox'), 4)
    if box is None:
        raise InputError(f'{where}: wanted bbox [x, y, w, h], got {str(annotation.get("bbox"))[:60]}')
    height = finite([annotation.get('height', box[3])], 1)
    if height is None:
        raise InputError(f'{where}: wanted a number as height, got {str(annotation["height"])[:40]}')
    occlusion = annotation.get('occlusion')
    if isinstance(occlusion, bool) or occlusion not in (0, 1, 2):
        got = str(occlusion)[:40] if 'occlusion' in annotation else 'none'
        raise InputError(f'{where}: wanted occlusion 0, 1 or 2, which the settings go by, got {got}')
    ignore = bool(annotation.get('ignore')) or bool(annotation.get('iscrowd'))
    ignore |= annotation.get('category_id', person) != person
    identity_zero = annotation.get('id') == 0
    return position[identity], *box, height[0], occlusion, ignore, identity_zero
