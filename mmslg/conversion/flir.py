"""FLIR-aligned: street scenes by day and night, 640x512, boxes drawn in the infrared images."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mmslg.conversion.base import DatasetReader
from mmslg.conversion.coco import ImageFinder, find_coco, parse_coco
from mmslg.conversion.layout import (
    Labels,
    Layout,
    Pair,
    common_folder,
    is_image,
    modality_of,
    read_list,
    scan,
    split_of,
)
from mmslg.conversion.voc import read_voc_boxes
from mmslg.errors import InputError

TIMES = ((8864, 9018, 'night'), (9019, 9318, 'day'), (9323, 9671, 'night'), (9672, 10227, 'day'))
"""First and last frame number of the test sequences and their time of day."""
FIRST_TEST = 8864
"""Frames from this number on belong to the test split, the others to the training split."""
_FILE = re.compile(r'(FLIR_\d{1,6})([^/]*)\.(\w+)', re.I)
_ENTRY = re.compile(r'(?:^|/)(FLIR_\d{1,6})[\w.]*$', re.I)


class FlirReader(DatasetReader):
    """Reads ``JPEGImages``, ``Annotations`` and the two lists, or COCO files with ``file_name_lwir``."""

    name = 'flir'
    title = 'FLIR-aligned: street scenes by day and night'
    classes = ('person', 'car', 'bicycle')
    aliases = {'bike': 'bicycle', 'people': 'person', 'pedestrian': 'person'}
    known_strays = ('dog',)
    sizes = ((640, 512),)
    pairs = {'train': 4129, 'test': 1013}
    versions = {'published test labels': {'test': {'person': 4107, 'car': 4124, 'bicycle': 360}}}
    known_duplicates = ('FLIR_09042', 'FLIR_09055', 'FLIR_09653')
    usual_shift = (2.6, -0.6)

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._coco: dict[tuple[str, str], Labels] = {}

    def recognise(self, root: Path) -> Layout:
        """Look at a folder; see the base class."""
        files = scan(root)
        labels = {}
        for path in files:
            match = _FILE.fullmatch(posixpath.basename(path))
            if match and match[3].lower() == 'xml':
                stem = match[1].upper()
                if stem not in labels or 'rgb' in posixpath.basename(labels[stem]).lower():
                    labels[stem] = path
        coco = [] if labels else find_coco(root, filter(_split_of, files), infrared_names=True)
        if not labels and not coco:
            raise InputError(
                f'{root}: no Annotations/FLIR_*.xml and no COCO file with file_name_lwir, so this is no '
                'folder of FLIR-aligned; give the folder that holds JPEGImages and Annotations'
            )
        return self._from_xml(root, files, labels) if labels else self._from_coco(root, files, coco)

    def read_labels(self, root: Path, pair: Pair) -> Labels:
        """Read the boxes in raw coordinates, which already reach 0; see the base class."""
        return self._coco[pair.label, pair.key] if self._coco else read_voc_boxes(root / pair.label)

    def _from_coco(self, root: Path, files: list[str], paths: list[str]) -> Layout:
        images = ImageFinder(files)
        splits: dict[str, list[Pair]] = {}
        for path in paths:
            split = _split_of(path)
            if split in splits:
                raise InputError(
                    f'{root}: {path} is not the only {split} annotations; leave one in the folder'
                )
            splits[split] = []
            for entry in parse_coco(root / path).images:
                infrared = entry.infrared or entry.visible
                found = (images.find(entry.visible, 'visible'), images.find(infrared, 'infrared'))
                if not images:
                    found = f'visible/{entry.visible}', f'infrared/{infrared}'
                match = _ENTRY.search(posixpath.splitext(entry.visible)[0])
                self._coco[path, entry.visible] = entry.labels
                time = time_of(match[1]) if match else None
                splits[split].append(Pair(entry.visible, *found, path, time))
        chosen = zip(*((p.visible, p.infrared) for pairs in splits.values() for p in pairs))
        prefixes = tuple(common_folder(p for p in column if p) for column in chosen) or ('', '')
        return Layout(
            root,
            f'FLIR-aligned, COCO files {", ".join(paths)}; images by their file_name and file_name_lwir',
            prefixes if images else ('visible/', 'infrared/'),
            {s: splits[s] for s in ('train', 'test') if s in splits},
            'ir',
            dict(layout='coco', split_by='files ' + ', '.join(paths)),
            labels_only=not images,
            lists=paths,
        )

    def _from_xml(self, root: Path, files: list[str], labels: dict[str, str]) -> Layout:
        images: dict[str, dict[str, str]] = {}
        for path in filter(is_image, files):
            match = _FILE.fullmatch(posixpath.basename(path))
            role = _role(path, match[2].lower()) if match else None
            if role:
                images.setdefault(match[1].upper(), {}).setdefault(role, path)
        for found in images.values():
            plain = found.pop('plain', None)
            if plain:
                found.setdefault('infrared', plain)
        stems, lists, rule = _split(root, files, set(labels) | set(images))
        labels_only = not images

        def pair(stem: str) -> Pair:
            found = images.get(stem, {})
            if labels_only:
                found = dict(
                    visible=f'JPEGImages/{stem}_RGB.jpg', infrared=f'JPEGImages/{stem}_PreviewData.jpeg'
                )
            return Pair(stem, found.get('visible'), found.get('infrared'), labels.get(stem), time_of(stem))

        splits = {split: [pair(s) for s in names] for split, names in stems.items()}
        chosen = [[f[m] for f in images.values() if m in f] for m in ('visible', 'infrared')]
        prefixes = ('JPEGImages/',) * 2 if labels_only else tuple(map(common_folder, chosen))
        names = sorted({_FILE.fullmatch(posixpath.basename(p))[2] or '(plain)' for c in chosen for p in c})
        layout = Layout(
            root,
            f'FLIR-aligned, {len(labels)} XML files; image names FLIR_<number> + {", ".join(names) or "-"}; '
            f'split by {rule}; time of day of the test pairs by their frame numbers',
            prefixes,
            splits,
            'ir',
            dict(layout='xml', split_by=rule, image_names=names),
            labels_only=labels_only,
            lists=lists,
        )
        listed = {s for names in stems.values() for s in names}
        layout.find_overlaps()
        for stem in sorted((set(labels) | set(images)) - listed):
            if labels_only:
                continue
            if stem not in images:
                layout.add_problem('orphan-label', labels[stem])
            elif len(images[stem]) == 1:
                layout.add_problem('orphan-image', next(iter(images[stem].values())))
        return layout


def time_of(stem: str) -> str | None:
    """Return the time of day of a test frame; that of training frames is not published."""
    number = int(stem[5:])
    return next((time for first, last, time in TIMES if first <= number <= last), None)


def _role(path: str, rest: str) -> str | None:
    """Return what an image is by its name, and where the name does not say, by its folder."""
    if 'mask' in rest:
        return None
    if 'rgb' in rest or 'visible' in rest:
        return 'visible'
    if 'preview' in rest or 'thermal' in rest or rest in ('_ir', '_lwir'):
        return 'infrared'
    return modality_of(path) or 'plain'


def _split_of(path: str) -> str | None:
    """Return the split that a file's name holds; what is called val is the test split."""
    split = split_of(path)
    return 'test' if split == 'val' else split


def _split(root: Path, files: list[str], stems: set[str]) -> tuple[dict[str, list[str]], list[str], str]:
    """Return stems by split, the lists used, and the rule in words."""
    found: dict[str, list[str]] = {}
    for path in files:
        name, split = posixpath.basename(path).lower(), _split_of(path)
        if split and name.endswith('.txt') and 'label' not in name:
            found.setdefault(split, []).append(path)
    splits: dict[str, list[str]] = {}
    lists: list[str] = []
    for split, paths in sorted(found.items(), reverse=True):
        aligned = [p for p in paths if 'align' in posixpath.basename(p).lower()]
        read = {
            p: [m[1].upper() for m in read_list(root / p, _ENTRY, 'a frame FLIR_<number>', bool(aligned))]
            for p in aligned or paths
        }
        contents = {p: c for p, c in read.items() if c}
        if len({frozenset(c) for c in contents.values()}) > 1:
            raise InputError(
                f'{root}: {" and ".join(contents)} name different {split} pairs; leave one of them'
            )
        if contents:
            lists.append(next(iter(contents)))
            splits[split] = list(dict.fromkeys(contents[lists[-1]]))
    if lists:
        return splits, lists, 'lists ' + ', '.join(lists)
    for stem in sorted(stems):
        splits.setdefault('train' if int(stem[5:]) < FIRST_TEST else 'test', []).append(stem)
    ordered = {k: splits[k] for k in ('train', 'test') if k in splits}
    return ordered, [], f'frame number (test from {FIRST_TEST} on; there are no lists)'
