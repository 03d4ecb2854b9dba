"""FLIR-aligned in the form of COCO files whose images have a ``file_name_lwir``."""

from __future__ import annotations

import json
import posixpath
from collections import Counter
from pathlib import Path

from mmslg.conversion.layout import Box, Labels, Layout, Pair, is_image
from mmslg.errors import InputError
from mmslg.utils.safe_text import check_number, read_text, safe_name, shorten

MAX_BYTES = 200_000_000
_FIELDS = ('file_name_lwir', 'file_name_ir')


def find_files(root: Path, files: list[str]) -> dict[str, str]:
    """Return COCO files of pairs by split; files that a converter wrote are passed over.

    Raises:
        InputError: Two files are of the same split, or a file that should be COCO cannot be read.
    """
    found: dict[str, str] = {}
    for path in files:
        name = posixpath.basename(path).lower()
        split = 'train' if 'train' in name else 'test' if 'val' in name or 'test' in name else None
        if split is None or not name.endswith('.json'):
            continue
        text = read_text(root / path, MAX_BYTES)
        if not any(f'"{field}"' in text for field in _FIELDS) or '"mmslg.conversion' in text[:4000]:
            continue
        if split in found:
            raise InputError(
                f'{root}: {found[split]} and {path} are both {split} annotations; leave one in the folder'
            )
        found[split] = path
    return found


class CocoLabels:
    """Pairs and boxes of COCO files.

    Args:
        root: The dataset's folder.
        paths: COCO file of each split, below ``root``.
        files: All files of the folder.

    Raises:
        InputError: A file is not in COCO form.
    """

    def __init__(self, root: Path, paths: dict[str, str], files: list[str]) -> None:
        self.root = root
        self.paths = paths
        self._by_name: dict[str, list[str]] = {}
        for path in filter(is_image, files):
            self._by_name.setdefault(posixpath.basename(path), []).append(path)
        self._labels: dict[tuple[str, str], Labels] = {}
        self._splits = {split: self._read(split, path) for split, path in paths.items()}

    def layout(self) -> Layout:
        """Return what the files describe."""
        from mmslg.conversion.layout import common_folder

        pairs = [p for names in self._splits.values() for p in names]
        chosen = [[p for p in column if p] for column in zip(*((q.visible, q.infrared) for q in pairs))]
        labels_only = not self._by_name
        return Layout(
            self.root,
            f'FLIR-aligned, COCO files {", ".join(self.paths.values())}; images by their file_name and '
            'file_name_lwir',
            ('visible/', 'infrared/') if labels_only else tuple(map(common_folder, chosen)),
            {s: self._splits[s] for s in ('train', 'test') if s in self._splits},
            'ir',
            dict(layout='coco', split_by='files ' + ', '.join(self.paths.values())),
            labels_only=labels_only,
            lists=list(self.paths.values()),
        )

    def labels_of(self, pair: Pair) -> Labels:
        """Return the boxes of a pair."""
        return self._labels[pair.label, pair.key]

    def _locate(self, name: str, folders: tuple[str, ...]) -> str | None:
        """Find the file that a name means: as a path, else by its end, preferring some folders."""
        candidates = [
            p for p in self._by_name.get(posixpath.basename(name), []) if p == name or p.endswith('/' + name)
        ]
        if not self._by_name:
            return f'{folders[0]}/{name}'
        liked = [p for p in candidates if set(p.lower().split('/')[:-1]) & set(folders)]
        return next(iter(liked or candidates), None)

    def _read(self, split: str, path: str) -> list[Pair]:
        from mmslg.conversion.flir import time_of

        file = self.root / path
        try:
            data = json.loads(read_text(file, MAX_BYTES))
        except (ValueError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f'{file}: not valid JSON ({" ".join(str(error)[:80].split())})') from None
        lists = [
            data.get(k) if isinstance(data, dict) else None for k in ('images', 'annotations', 'categories')
        ]
        if not all(isinstance(x, list) and all(isinstance(e, dict) for e in x) for x in lists):
            raise InputError(f'{file}: wanted COCO form with the lists images, annotations and categories')
        images, annotations, categories = lists
        names = {_key(file, c, 'id', 'category'): c.get('name') for c in categories}
        if not all(isinstance(n, str) and n for n in names.values()):
            raise InputError(f"{file}: a category has no 'name'")
        boxes: dict[object, list[Box]] = {}
        for n, annotation in enumerate(annotations):
            boxes.setdefault(_key(file, annotation, 'image_id', f'annotation {n}'), []).append(
                _box(file, n, annotation, names)
            )
        pairs = []
        for n, image in enumerate(images):
            what = f'image {n}'
            visible = safe_name(image.get('file_name'), file, f'{what}, file_name')
            infrared = next((image[k] for k in _FIELDS if k in image), image.get('file_name'))
            infrared = safe_name(infrared, file, f'{what}, file_name_lwir')
            size = tuple(int(check_number(image.get(k), file, f'{what}, {k}')) for k in ('width', 'height'))
            identity = _key(file, image, 'id', what)
            if (path, visible) in self._labels:
                raise InputError(f'{file}: {shorten(visible)} is listed twice')
            self._labels[path, visible] = Labels(
                tuple(boxes.pop(identity, ())), size if min(size) > 0 else None, Counter()
            )
            stem = posixpath.basename(visible)[:10]
            time = time_of(stem) if stem[5:].isdigit() and stem.isascii() else None
            found = (
                self._locate(visible, ('visible', 'vis', 'rgb')),
                self._locate(infrared, ('infrared', 'ir', 'lwir', 'thermal')),
            )
            pairs.append(Pair(visible, *found, path, time))
        if boxes:
            raise InputError(
                f'{file}: annotations point to image {shorten(next(iter(boxes)))}, which is not listed'
            )
        return pairs


def _key(file: Path, entry: dict, field: str, what: str) -> object:
    value = entry.get(field)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise InputError(f"{file}: {what} has no usable '{field}', got {shorten(value)}")
    return value


def _box(file: Path, n: int, annotation: dict, names: dict) -> Box:
    what = f'annotation {n}'
    bbox = annotation.get('bbox')
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise InputError(f"{file}: {what} should have a 'bbox' of 4 numbers, got {shorten(bbox)}")
    x, y, w, h = (check_number(v, file, f'{what}, bbox') for v in bbox)
    category = _key(file, annotation, 'category_id', what)
    if category not in names:
        raise InputError(f'{file}: {what} is of category {shorten(category)}, which is not listed')
    return Box(names[category], (x, y, x + w, y + h))
