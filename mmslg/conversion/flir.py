"""FLIR-aligned: street scenes by day and night, 640x512, boxes drawn in the infrared images."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mmslg.conversion import flir_coco
from mmslg.conversion.base import DatasetReader, read_voc_boxes
from mmslg.conversion.layout import Labels, Layout, Pair, common_folder, is_image, scan
from mmslg.conversion.published import FLIR_FIRST_TEST, FLIR_TIMES
from mmslg.errors import InputError
from mmslg.utils.safe_text import read_text, shorten

_FILE = re.compile(r'(FLIR_\d{1,6})([^/]*)\.(\w+)', re.I)
_VISIBLE_FOLDERS = {'vis', 'visible', 'rgb', 'vi', 'visible_images', 'rgb_images'}
_INFRARED_FOLDERS = {'ir', 'infrared', 'thermal', 'lwir', 'tir', 'thermal_images', 'thermal_8_bit'}
_MAX_LIST_BYTES = 2_000_000


class FlirReader(DatasetReader):
    """Reads ``JPEGImages``, ``Annotations`` and the two lists, or COCO files with ``file_name_lwir``."""

    name = 'flir'
    classes = ('person', 'car', 'bicycle')
    aliases = {'bike': 'bicycle', 'people': 'person', 'pedestrian': 'person'}
    known_strays = ('dog',)
    _coco: flir_coco.CocoLabels | None = None

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
        if not labels:
            coco = flir_coco.find_files(root, files)
            if coco:
                self._coco = flir_coco.CocoLabels(root, coco, files)
                return self._coco.layout()
            raise InputError(
                f'{root}: no Annotations/FLIR_*.xml and no COCO file with file_name_lwir, so this is no '
                'folder of FLIR-aligned; give the folder that holds JPEGImages and Annotations'
            )
        return self._from_xml(root, files, labels)

    def read_labels(self, root: Path, pair: Pair) -> Labels:
        """Read the boxes in raw coordinates, which already reach 0; see the base class."""
        return self._coco.labels_of(pair) if self._coco else read_voc_boxes(root / pair.label)

    def _from_xml(self, root: Path, files: list[str], labels: dict[str, str]) -> Layout:
        images: dict[str, dict[str, str]] = {}
        for path in filter(is_image, files):
            match = _FILE.fullmatch(posixpath.basename(path))
            role = _role(path, match[2].lower()) if match else None
            if role:
                stem = match[1].upper()
                images.setdefault(stem, {}).setdefault(role, path)
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
        for stem in sorted(set(stems.get('train', ())) & set(stems.get('test', ()))):
            layout.add_problem('split-overlap', stem)
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
    return next((time for first, last, time in FLIR_TIMES if first <= number <= last), None)


def _role(path: str, rest: str) -> str | None:
    """Return what an image is by its name, and where the name does not say, by its folder."""
    if 'mask' in rest:
        return None
    if 'rgb' in rest or 'visible' in rest:
        return 'visible'
    if 'preview' in rest or 'thermal' in rest or rest in ('_ir', '_lwir'):
        return 'infrared'
    for folder in reversed(path.lower().split('/')[:-1]):
        if folder in _VISIBLE_FOLDERS:
            return 'visible'
        if folder in _INFRARED_FOLDERS:
            return 'infrared'
    return 'plain'


def _split(root: Path, files: list[str], stems: set[str]) -> tuple[dict[str, list[str]], list[str], str]:
    """Return stems by split, the lists used, and the rule in words."""
    found: dict[str, list[str]] = {}
    for path in files:
        name = posixpath.basename(path).lower()
        split = 'train' if 'train' in name else 'test' if 'val' in name or 'test' in name else None
        if split and name.endswith('.txt') and 'label' not in name:
            found.setdefault(split, []).append(path)
    splits: dict[str, list[str]] = {}
    lists: list[str] = []
    for split, paths in sorted(found.items(), reverse=True):
        aligned = [p for p in paths if 'align' in posixpath.basename(p).lower()]
        contents = {p: c for p in aligned or paths if (c := _read_list(root / p, bool(aligned))) is not None}
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
        splits.setdefault('train' if int(stem[5:]) < FLIR_FIRST_TEST else 'test', []).append(stem)
    ordered = {k: splits[k] for k in ('train', 'test') if k in splits}
    return ordered, [], f'frame number (test from {FLIR_FIRST_TEST} on; there are no lists)'


def _read_list(path: Path, must: bool) -> list[str] | None:
    """Return the stems of a list; None if the file is something else and need not be a list."""
    if not must and path.stat().st_size == 0:
        return None
    names = []
    for number, line in enumerate(read_text(path, _MAX_LIST_BYTES).split('\n'), 1):
        entry = line.strip()
        match = re.fullmatch(r'(FLIR_\d{1,6})[\w.]*', posixpath.basename(entry), re.I)
        if entry and match is None:
            if not must:
                return None
            raise InputError(f'{path}: line {number} should name a frame FLIR_<number>, got {shorten(entry)}')
        if match:
            names.append(match[1].upper())
    return names
