"""Labels of own pairs in each of their forms: which classes there are, and the boxes of a pair in pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mmslg.conversion.layout import Labels, Pair, plural
from mmslg.conversion.pairs.yolo import VALUES, NamesFile, names_of, parse_yolo, plain, to_pixels
from mmslg.conversion.voc import boxes_of, parse_voc
from mmslg.errors import InputError
from mmslg.utils.image_io import probe_image

BACKGROUND = 'pairs without a label file, taken as images without objects'


class LabelForm(ABC):
    """Labels in one form.

    Attributes:
        title: What the form is called.
        classes: Class names, in the order of the file that names them, else alphabetical.
        source: Where the names come from.
        oriented: Whether all boxes become oriented.
        background: Whether a pair without a label file is an image without objects.
    """

    title: str
    classes: tuple[str, ...]
    source: str
    oriented = False
    background = False

    @abstractmethod
    def labelled(self) -> set[str]:
        """Return the names of the classes of which there is a label."""

    @abstractmethod
    def read(self, root: Path, pair: Pair) -> Labels:
        """Return the boxes of a pair in pixels.

        Raises:
            InputError: The label file cannot be used; the message names it.
        """


class YoloLabels(LabelForm):
    """YOLO text files, all of them upright or all oriented, as most of their lines are.

    Args:
        root: The dataset's folder.
        paths: Label files below it.
        names: What the class numbers mean.

    Raises:
        InputError: Nothing says what the class numbers mean.
    """

    title = 'YOLO'
    background = True

    def __init__(self, root: Path, paths: list[str], names: list[NamesFile]) -> None:
        self._root, self._names = root, names
        self._numbers: dict[str, set[int]] = {}
        self._lines: Counter[bool] = Counter()
        self._files: Counter[bool] = Counter()
        broken = []
        for path in paths:
            try:
                items = parse_yolo(root / path)
            except InputError as error:
                broken.append(error)  # reported with its line where the boxes are read
                continue
            self._numbers[path] = {item.number for item in items}
            self._lines.update(item.oriented for item in items)
            self._files.update({item.oriented for item in items})
        if len(broken) == len(paths):
            raise broken[0]
        self.oriented = self._lines[True] > self._lines[False]
        if not names:
            last = max((n for numbers in self._numbers.values() for n in numbers), default=0)
            raise InputError(
                f'{root}: what do the class numbers (0 to {last}) mean? There is no data.yaml with names and '
                'no classes.txt; give the names in their order: --names person car ...'
            )
        self.classes = _distinct(name for file in names for name in file.names)
        self.source = ', '.join(file.path for file in names)

    def labelled(self) -> set[str]:
        """Return the names of the numbers that the labels hold; see the base class."""
        found = set()
        for path, numbers in self._numbers.items():
            names = names_of(self._root, path, self._names)
            found.update(names[n] for n in numbers if n < len(names))
        return found

    def read(self, root: Path, pair: Pair) -> Labels:
        """Read a text file; see the base class."""
        if pair.label is None:
            return Labels((), None, Counter({BACKGROUND: 1}))
        path = root / pair.label
        sizes = [probe_image(root / image)[0] for image in (pair.visible, pair.infrared) if image]
        size = next(filter(None, sizes), None)
        if size is None:
            raise InputError(f'{path}: neither image can be read, so the size of the boxes is not known')
        names = names_of(root, pair.label, self._names)
        items = parse_yolo(path)
        odd = next((item for item in items if item.oriented != self.oriented), None)
        if odd:
            lines = {form: plural(self._lines[form], 'line') for form in VALUES}
            files = {form: plural(self._files[form], 'file') for form in VALUES}
            raise InputError(
                f'{path}: line {odd.line} has {VALUES[odd.oriented]}; together the label files hold '
                f'{lines[odd.oriented]} of this form in {files[odd.oriented]}, and {lines[self.oriented]} of '
                f'{VALUES[self.oriented]} in {files[self.oriented]}; write each upright box as its four '
                'corners, or each oriented one as the upright box around it'
            )
        notes: Counter = Counter()
        return Labels(tuple(to_pixels(path, item, names, size, notes) for item in items), None, notes)


class VocLabels(LabelForm):
    """VOC XML files; one polygon makes all boxes oriented.

    Args:
        root: The dataset's folder.
        paths: Label files below it.
        names: Files that say the order of the classes, if there are any.
    """

    title = 'VOC'

    def __init__(self, root: Path, paths: list[str], names: list[NamesFile]) -> None:
        self._found: set[str] = set()
        for path in paths:
            try:
                objects = parse_voc(root / path).objects
            except InputError:
                continue  # reported where the boxes are read
            self._found.update(item.name for item in objects)
            self.oriented |= any(item.shape == 'polygon' for item in objects)
        ordered = [name for file in names for name in file.names]
        self.classes = _distinct([*ordered, *sorted(self._found, key=lambda n: (plain(n), n))])
        self.source = ', '.join([*(file.path for file in names), 'the labels'])

    def labelled(self) -> set[str]:
        """Return the names of all objects; see the base class."""
        return self._found

    def read(self, root: Path, pair: Pair) -> Labels:
        """Read an XML file, in raw coordinates: nothing is subtracted; see the base class."""
        return boxes_of(parse_voc(root / pair.label))


class CocoLabels(LabelForm):
    """COCO files, one for each split.

    Args:
        labels: Boxes of the pairs by file and key.
        classes: Names in the order of the category ids.
    """

    title = 'COCO'
    source = 'the categories'

    def __init__(self, labels: dict[tuple[str, str], Labels], classes: Iterable[str]) -> None:
        self._labels = labels
        self.classes = _distinct(classes)
        self.oriented = any(len(box.points) == 8 for item in labels.values() for box in item.boxes)

    def labelled(self) -> set[str]:
        """Return the names of all boxes; see the base class."""
        return {box.name for item in self._labels.values() for box in item.boxes}

    def read(self, root: Path, pair: Pair) -> Labels:
        """Return the boxes of an image entry; see the base class."""
        return self._labels[pair.label, pair.key]


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(plain(name), name)
    return tuple(found.values())
