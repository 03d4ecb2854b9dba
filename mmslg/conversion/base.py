"""What is special about one dataset, behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from mmslg.conversion.layout import Box, Labels, Layout, Pair

Crop = tuple[int, int, int, int]
Size = tuple[int, int]
LABELS_FLAG = dict(
    choices=('ir', 'rgb'),
    default='ir',
    help='labels drawn in the infrared (default) or in the visible images, where there are both',
)


class DatasetReader(ABC):
    """Knows everything that is special about one dataset; nothing else asks for a dataset's name.

    A subclass in a module of this package is found by its ``name``. Attributes that the folder decides,
    such as ``classes``, may be set by ``recognise``.

    Args:
        options: Values of ``flags`` by name, ``train_list`` for ``--train-list``; the others take their
            defaults.
    """

    name: str
    title: str
    """The dataset in a few words, for the list of datasets."""
    classes: tuple[str, ...]
    aliases: Mapping[str, str] = {}
    """Other spellings of a class, in lower case."""
    known_strays: tuple[str, ...] = ()
    """Names that published labels hold and that everyone drops."""
    flags: Mapping[str, dict] = {}
    """Options of the command line: flag and keywords of ``argparse.ArgumentParser.add_argument``."""
    sizes: tuple[Size, ...] | None = None
    """Published (width, height) in pixels, that of the content first; None where images have any size."""
    mixed_sizes = 'wrong-size'
    """Kind of defect that a second published size among the images is."""
    pairs: Mapping[str, int] = {}
    """Published pairs by split; ``all`` is the number over all splits, where no split is official."""
    versions: Mapping[str, Mapping[str, Mapping[str, int]]] = {}
    """Published boxes by version of the labels, split and class."""
    known_truncated: tuple[str, ...] = ()
    """Images that are truncated in the published archive."""
    known_duplicates: tuple[str, ...] = ()
    """Pairs whose published labels give one box twice."""
    overshoot: float = 1
    """By how many pixels published boxes exceed the content."""
    usual_shift: tuple[float, float] | None = None
    """Median shift in pixels of untouched pairs, measured on a few: for orientation only."""
    background_without_label = False
    """Whether a pair without a label file is an image without objects; otherwise it is left out."""
    own_kinds: Mapping[str, tuple[str, str]] = {}
    """Kinds of defects that only this dataset has: title and what to do about it."""

    def __init__(self, **options: object) -> None:
        defaults = {option_name(flag): settings.get('default') for flag, settings in self.flags.items()}
        unknown = sorted(options.keys() - defaults)
        if unknown:
            raise TypeError(f'{self.name} has no option {", ".join(unknown)}')
        self.options = SimpleNamespace(**{**defaults, **options})

    @abstractmethod
    def recognise(self, root: Path) -> Layout:
        """Look at a folder and say what it holds.

        Raises:
            InputError: This is not the dataset, or it cannot be told what is what.
        """

    @abstractmethod
    def read_labels(self, root: Path, pair: Pair) -> Labels:
        """Read the labels of a pair.

        Raises:
            InputError: The file cannot be used; the message names it.
        """

    def class_of(self, name: str) -> str | None:
        """Return the class that a spelling means, None if it is none of the dataset's."""
        lower = name.strip().lower()
        return lower if lower in self.classes else self.aliases.get(lower)

    def crop_of(self, labels: Labels, image_size: Size | None) -> Crop | None:
        """Return the (x, y, w, h) of an image that is its content, None for all of it."""
        return None

    def offset_of(self, labels: Labels, image_size: Size | None) -> tuple[int, int]:
        """Return what to subtract from the label file's x and y to get coordinates of the content."""
        crop = self.crop_of(labels, image_size)
        return crop[:2] if crop else (0, 0)

    def content_size(self, labels: Labels, image_size: Size | None) -> Size | None:
        """Return (width, height) of the content: of the image, else as published, else as the labels say."""
        crop = self.crop_of(labels, image_size)
        return crop[2:] if crop else image_size or (self.sizes[0] if self.sizes else labels.size)

    def annotation(self, box: Box, size: Size, stats: Counter) -> dict | None:
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

    def info(self, layout: Layout, split: str) -> dict:
        """Return what the annotations of a split say in ``info`` beyond what all datasets say."""
        return {}

    def policies(self) -> dict[str, str]:
        """Return in words what happens to pairs and boxes that do not fit, for the manifest."""
        return dict(
            unusable_pairs='left out and listed',
            other_classes='dropped',
            boxes_without_area='dropped',
            boxes_across_the_edge='keep',
        )

    def published_pairs(self, found: Mapping[str, int]) -> Mapping[str, int]:
        """Return the published number of pairs by split, given the numbers found."""
        return self.pairs

    def label_version(self, boxes: Mapping[str, Mapping[str, int]]) -> str:
        """Return which published version of the labels the boxes by split and class speak for.

        Where it is none of them, the text begins with ``unknown``.
        """
        if not self.versions:
            return 'not told apart by counts'
        judged = sorted({split for counts in self.versions.values() for split in counts})
        absent = [split for split in judged if split not in boxes]
        if absent:
            return f'unknown: no {" and no ".join(absent)} split'
        for version, counts in self.versions.items():
            if all(dict(boxes[split]) == dict(counts[split]) for split in counts):
                return version
        found, *published = (
            ' and '.join(f'{sum(counts[split].values())} {split} boxes' for split in judged)
            for counts in (boxes, *self.versions.values())
        )
        return f'unknown: {found}, not by class the published {" or ".join(published)}'

    def check_images(self, visible: np.ndarray, infrared: np.ndarray) -> Iterable[tuple[str, str]]:
        """Return what is wrong with two decoded images of one size: kind of defect and detail."""
        return ()


def option_name(flag: str) -> str:
    """Return the name of an option: ``train_list`` for ``--train-list``."""
    return flag.lstrip('-').replace('-', '_')
