"""What a dataset's folder holds: pairs by split, and what does not fit."""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mmslg.errors import InputError
from mmslg.utils.io import read_text
from mmslg.utils.safe_text import shorten

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff')
MAX_FOLDER_DEPTH = 8
MAX_LIST_BYTES = 20_000_000
VISIBLE_FOLDERS = {'vis', 'visible', 'vi', 'visual', 'rgb', 'color', 'colour', 'visible_images', 'rgb_images'}
INFRARED_FOLDERS = {'ir', 'infrared', 'thermal', 'lwir', 'tir', 'thermal_images', 'thermal_8_bit'}
SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class Box:
    """One labelled object, in the coordinates of the annotation file.

    Args:
        name: Class as spelled in the file.
        points: ``x1, y1, x2, y2`` of an upright box or 8 numbers of a quadrangle, in pixels.
        extra: Further fields that the output keeps.
    """

    name: str
    points: tuple[int | float, ...]
    extra: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Labels:
    """One image's boxes, the image size that the file claims, and remarks with their number."""

    boxes: tuple[Box, ...]
    size: tuple[int, int] | None = None
    notes: Counter = field(default_factory=Counter)


@dataclass(frozen=True)
class Pair:
    """The files of one pair, as paths below the dataset's folder with ``/``.

    Args:
        key: What the pair is called in reports.
        visible: Visible image; where it does not exist, None.
        infrared: Infrared image, or None.
        label: Annotation file, or None.
        time: ``day``, ``night`` or None.
        extra: Fields for the image's entry in the output.
    """

    key: str
    visible: str | None
    infrared: str | None
    label: str | None
    time: str | None = None
    extra: dict = field(default_factory=dict)


@dataclass
class Layout:
    """A recognised folder.

    Args:
        root: The folder.
        description: What was recognised, for the user.
        prefixes: Folders of the visible and the infrared images below ``root``, ending in ``/`` or empty.
        splits: Pairs in their final order.
        label_modality: In which image the boxes were drawn: ``ir``, ``visible`` or ``both``.
        source: Which version of the labels, lists and names was found; goes into the manifest.
        problems: Findings about files, by kind; see ``mmslg.conversion.verification.kinds``.
        labels_only: There is no image at all, and names and sizes follow the dataset's convention.
        lists: Split lists that were read, below ``root``.
        split_modalities: ``label_modality`` of the splits where it is another.
    """

    root: Path
    description: str
    prefixes: tuple[str, str]
    splits: dict[str, list[Pair]]
    label_modality: str
    source: dict
    problems: dict[str, list[str]] = field(default_factory=dict)
    labels_only: bool = False
    lists: list[str] = field(default_factory=list)
    split_modalities: dict[str, str] = field(default_factory=dict)

    def modality_of(self, split: str) -> str:
        """Return in which image the boxes of a split were drawn."""
        return self.split_modalities.get(split, self.label_modality)

    def add_problem(self, kind: str, item: str) -> None:
        """Note that ``item`` has a problem of this kind."""
        self.problems.setdefault(kind, []).append(item)

    def find_overlaps(self) -> None:
        """Note the pairs that are in several splits."""
        splits = Counter(key for pairs in self.splits.values() for key in {pair.key for pair in pairs})
        for key in sorted(key for key, times in splits.items() if times > 1):
            self.add_problem('split-overlap', key)


def scan(root: str | os.PathLike) -> list[str]:
    """List all files below ``root`` as sorted relative paths with ``/``.

    Linked folders are followed once; hidden files and folders are passed over.

    Raises:
        InputError: There is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f'{root}: no such folder, wanted the folder of the dataset')
    found: list[str] = []
    seen: set[tuple[int, int]] = set()

    def visit(folder: str, relative: str, depth: int) -> None:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen or depth > MAX_FOLDER_DEPTH:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if entry.name.startswith('.') or not entry.name.isprintable():
                    continue
                path = f'{relative}{entry.name}'
                try:
                    is_folder, is_file = entry.is_dir(), entry.is_file()
                except OSError:  # a link that leads to itself: found like a file, and then unreadable
                    is_folder, is_file = False, True
                if is_folder:
                    visit(entry.path, f'{path}/', depth + 1)
                elif is_file:
                    found.append(path)

    visit(str(root), '', 0)
    return sorted(found)


def is_image(path: str) -> bool:
    """Whether a path has the suffix of an image."""
    return path.lower().endswith(IMAGE_SUFFIXES)


def common_folder(paths: Iterable[str]) -> str:
    """Return the deepest folder that holds all paths, ending in ``/``, or an empty text."""
    folders = {posixpath.dirname(p) for p in paths}
    if not folders:
        return ''
    common = posixpath.commonpath(folders) if all(folders) else ''
    return f'{common}/' if common else ''


def modality_of(path: str) -> str | None:
    """Return ``visible`` or ``infrared`` if one of the folders of a path names it, the last one first."""
    for folder in reversed(path.lower().split('/')[:-1]):
        if folder in VISIBLE_FOLDERS:
            return 'visible'
        if folder in INFRARED_FOLDERS:
            return 'infrared'
    return None


def stem_of(path: str) -> str:
    """Return the name of a file without folders and ending."""
    return posixpath.splitext(posixpath.basename(path))[0]


def split_of(path: str) -> str | None:
    """Return the split that a file's name holds: ``train``, ``val``, ``test`` or none."""
    name = posixpath.basename(path).lower()
    return next((split for split in SPLITS if split in name), None)


def read_list(path: Path, pattern: re.Pattern, wanted: str, must: bool) -> list[re.Match]:
    """Read a list of frames, one a line.

    Args:
        path: File of text.
        pattern: What a line holds, found anywhere in it.
        wanted: What a line should name, for the message.
        must: The file should be such a list; otherwise one whose first line is something else is empty.

    Raises:
        InputError: A line names no frame, or the file cannot be read.
    """
    if not must and path.is_file() and path.stat().st_size == 0:
        return []
    found: list[re.Match] = []
    for number, line in enumerate(read_text(path, MAX_LIST_BYTES).split('\n'), 1):
        entry = line.strip()
        match = pattern.search(entry)
        if entry and match is None:
            if not must and not found:
                return []
            raise InputError(f'{path}: line {number} should name {wanted}, got {shorten(entry)}')
        if match:
            found.append(match)
    return found


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return ``count`` with its noun: '1 pair', '2 pairs'."""
    return f'{count} {one if count == 1 else many or one + "s"}'
