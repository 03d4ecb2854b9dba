"""What the four converters have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmslg.conversion import published, quads
from mmslg.conversion.layout import Box, Labels, Layout, Pair
from mmslg.conversion.voc import parse_voc

EDGE_POLICIES = ('clip', 'keep', 'drop')
LABEL_CHOICES = ('ir', 'rgb')


@dataclass(frozen=True)
class Options:
    """Choices of the user.

    Args:
        edge: DroneVehicle: what happens to boxes that cross the edge of the content.
        labels: In which image the boxes were drawn, where there are two sets of labels.
        train_list: KAIST: file of the training list, where there are several.
    """

    edge: str = 'clip'
    labels: str = 'ir'
    train_list: str | None = None


class DatasetReader(ABC):
    """Knows the folders, the label files and the classes of one dataset.

    Args:
        options: Choices of the user.
    """

    name: str
    classes: tuple[str, ...]
    aliases: dict[str, str] = {}
    """Other spellings of a class, in lower case."""
    known_strays: tuple[str, ...] = ()
    """Names that published labels hold and that everyone drops."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels that all images of the dataset have."""
        return published.SIZES[self.name]

    @abstractmethod
    def recognise(self, root: Path) -> Layout:
        """Look at a folder and say what it holds.

        Raises:
            InputError: This is not the dataset, or it cannot be told what is what.
        """

    @abstractmethod
    def read_labels(self, root: Path, pair: Pair) -> Labels:
        """Read the label file of a pair.

        Raises:
            InputError: The file cannot be used; the message names it.
        """

    def class_of(self, name: str) -> str | None:
        """Return the class that a spelling means, None if it is none of the dataset's."""
        lower = name.strip().lower()
        return lower if lower in self.classes else self.aliases.get(lower)

    def crop_of(self, labels: Labels, image_size: tuple[int, int] | None) -> tuple[int, int, int, int] | None:
        """Return the (x, y, w, h) of an image that is its content, None for all of it."""
        return None

    def offset_of(self, labels: Labels, image_size: tuple[int, int] | None) -> tuple[int, int]:
        """Return what to subtract from the label file's x and y to get coordinates of the content."""
        crop = self.crop_of(labels, image_size)
        return crop[:2] if crop else (0, 0)

    def annotation(self, box: Box, size: tuple[int, int], stats: Counter) -> dict | None:
        """Turn a box into the fields of a COCO annotation.

        Args:
            box: In pixels of the content.
            size: (width, height) of the content.
            stats: Counts what the policies do, by remark.

        Returns:
            ``bbox``, ``area`` and what the dataset adds; None if the box is dropped.
        """
        x1, y1, x2, y2 = box.points
        width, height = size
        if x2 <= x1 or y2 <= y1:
            stats['dropped: no area'] += 1
            return None
        if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
            stats['dropped: outside the image'] += 1
            return None
        if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
            stats['kept as they are: across the edge of the image'] += 1
        return dict(bbox=[x1, y1, x2 - x1, y2 - y1], area=(x2 - x1) * (y2 - y1), **box.extra)


def read_voc_boxes(path: Path) -> Labels:
    """Read upright boxes of a VOC file, in raw coordinates: nothing is subtracted."""
    voc = parse_voc(path)
    notes: Counter = Counter()
    boxes = []
    for item in voc.objects:
        if item.shape == 'bndbox':
            boxes.append(Box(item.name, item.points))
        elif item.shape == 'polygon':
            x, y, w, h = quads.enclosing(np.reshape(item.points, (4, 2)))
            boxes.append(Box(item.name, (x, y, x + w, y + h)))
            notes['polygons taken as their enclosing boxes'] += 1
        else:
            notes[f'dropped: {"a point" if item.shape == "point" else "an object"} without a box'] += 1
    if voc.repaired:
        notes['label files in another encoding than they claim'] += 1
    return Labels(tuple(boxes), voc.size, notes)
