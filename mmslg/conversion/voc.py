"""VOC XML files: one image's boxes, polygons or points."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from mmslg.conversion import quads
from mmslg.conversion.layout import Box, Labels
from mmslg.errors import InputError
from mmslg.utils.io import read_bytes
from mmslg.utils.safe_text import MAX_LABEL_BYTES, number, shorten

MAX_ELEMENTS = 100_000
MAX_DEPTH = 32


@dataclass(frozen=True)
class VocObject:
    """One ``<object>``.

    Args:
        name: Class as spelled in the file, without outer blanks.
        shape: ``polygon``, ``bndbox``, ``point`` or ``none``: the richest shape that is given.
        points: ``x, y, ...`` in pixels as spelled: 8 numbers of a polygon, ``xmin, ymin, xmax, ymax``
            of a bndbox, 2 of a point.
        tags: Text of the further simple elements, such as ``occlusion``.
    """

    name: str
    shape: str
    points: tuple[int | float, ...]
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VocFile:
    """One XML file.

    Args:
        objects: In the order of the file.
        size: (width, height) in pixels of ``<size>``, None without one or with zeros.
        filename: Text of ``<filename>``; it is known to be wrong in published files, so nobody opens it.
        repaired: The encoding was not what the file claims; characters were replaced.
    """

    objects: tuple[VocObject, ...]
    size: tuple[int, int] | None
    filename: str
    repaired: bool = False


def parse_voc(path: str | os.PathLike) -> VocFile:
    """Read a VOC XML file.

    Document types and entities are refused before anything is expanded.

    Raises:
        InputError: The file is no such XML, or a coordinate is no plausible number; the message names it.
    """
    data = read_bytes(path, MAX_LABEL_BYTES)
    repaired = False
    try:
        root = _parse(path, data)
    except _NotXmlError as error:
        # Labelling tools wrote local paths in local encodings; the labels themselves are ASCII.
        text = re.sub(r'^\s*<\?xml[^>]*\?>', '', data.decode('utf-8', 'replace'))
        repaired = True
        try:
            root = _parse(path, text.replace('\0', '').encode('utf-8'))
        except _NotXmlError:
            raise InputError(f'{path}: not valid XML ({error}); get the file again') from None
    if root.tag != 'annotation':
        raise InputError(f'{path}: wanted a VOC <annotation>, got <{shorten(root.tag)}>')
    objects = tuple(_object(path, i, node) for i, node in enumerate(root.findall('object'), 1))
    return VocFile(objects, _size(path, root), (root.findtext('filename') or '').strip(), repaired)


def read_voc_boxes(path: Path) -> Labels:
    """Read upright boxes of a VOC file, in raw coordinates: nothing is subtracted."""
    labels = boxes_of(parse_voc(path))
    boxes = []
    for box in labels.boxes:
        if len(box.points) == 8:
            x, y, w, h = quads.enclosing(np.reshape(box.points, (4, 2)))
            box = Box(box.name, (x, y, x + w, y + h))
            labels.notes['polygons taken as their enclosing boxes'] += 1
        boxes.append(box)
    return replace(labels, boxes=tuple(boxes))


def boxes_of(voc: VocFile) -> Labels:
    """Return the upright boxes and polygons of a file as they are; objects with neither are counted."""
    notes: Counter = Counter()
    boxes = []
    for item in voc.objects:
        if item.shape in ('bndbox', 'polygon'):
            boxes.append(Box(item.name, item.points))
        else:
            notes[f'dropped: {"a point" if item.shape == "point" else "an object"} without a box'] += 1
    if voc.repaired:
        notes['label files in another encoding than they claim'] += 1
    return Labels(tuple(boxes), voc.size, notes)


class _NotXmlError(Exception):
    pass


def _parse(path: object, data: bytes) -> ElementTree.Element:
    """Build the tree by a parser that stops at the first document type."""
    builder = ElementTree.TreeBuilder()
    depth = count = 0

    def start(tag: str, attributes: dict) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > MAX_DEPTH or count > MAX_ELEMENTS:
            raise InputError(f'{path}: nested deeper or longer than any annotation file')
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise InputError(f'{path}: declares a document type or an entity, which is refused; remove it')

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, ValueError, LookupError, AssertionError) as error:
        if isinstance(error, InputError):
            raise
        raise _NotXmlError(' '.join(str(error).split())) from None


def _size(path: object, root: ElementTree.Element) -> tuple[int, int] | None:
    node = root.find('size')
    if node is None or node.find('width') is None or node.find('height') is None:
        return None
    width, height = (number(node.findtext(k), path, f'<size><{k}>') for k in ('width', 'height'))
    return (int(width), int(height)) if width > 0 and height > 0 else None


def _object(path: object, index: int, node: ElementTree.Element) -> VocObject:
    what = f'object {index}'
    name = (node.findtext('name') or '').strip()
    if not name or len(name) > 60:
        raise InputError(f'{path}: {what} has no <name>')
    tags = {child.tag: (child.text or '').strip() for child in node if len(child) == 0}

    def read(shape: ElementTree.Element, keys: Callable[[], list[str]]) -> tuple[int | float, ...]:
        return tuple(number(shape.findtext(k), path, f'{what}, <{k}>') for k in keys())

    polygon, box, point = node.find('polygon'), node.find('bndbox'), node.find('point')
    if polygon is not None:
        return VocObject(
            name, 'polygon', read(polygon, lambda: [f'{a}{i}' for i in range(1, 5) for a in 'xy']), tags
        )
    if box is not None and box.find('w') is not None:
        x, y, w, h = read(box, lambda: ['x', 'y', 'w', 'h'])
        return VocObject(name, 'bndbox', (x, y, x + w, y + h), tags)
    if box is not None:
        return VocObject(name, 'bndbox', read(box, lambda: ['xmin', 'ymin', 'xmax', 'ymax']), tags)
    if point is not None:
        keys = ['x', 'y'] if point.find('x') is not None else [child.tag for child in point][:2]
        return VocObject(name, 'point', read(point, lambda: keys), tags)
    return VocObject(name, 'none', (), tags)
