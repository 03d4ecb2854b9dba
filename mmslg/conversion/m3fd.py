"""M3FD: street scenes by day, at night and in fog, mostly 1024x768, one set of labels for both images."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mmslg.conversion.base import DatasetReader
from mmslg.conversion.coco import find_coco, parse_coco
from mmslg.conversion.layout import (
    SPLITS,
    Labels,
    Layout,
    Pair,
    common_folder,
    is_image,
    modality_of,
    read_list,
    scan,
    split_of,
    stem_of,
)
from mmslg.conversion.voc import read_voc_boxes
from mmslg.errors import InputError

_ENTRY = re.compile(r'(?:^|[/\\])([\w-]+)(?:\.\w{3,4})?$')


class M3fdReader(DatasetReader):
    """Reads ``vis`` and ``ir`` in any spelling, with COCO files or VOC files.

    There is no official split: COCO files named by split decide, else lists such as ``train.txt``, and
    without either all pairs are one split, ``all``.
    """

    name = 'm3fd'
    title = 'M3FD: street scenes by day, at night and in fog'
    classes = ('people', 'car', 'bus', 'motorcycle', 'lamp', 'truck')
    aliases = {'person': 'people', 'pedestrian': 'people', 'motorbike': 'motorcycle', 'motor': 'motorcycle'}
    pairs = {'all': 4199}
    versions = {
        'split of 3368 and 831 pairs that DAMSDet published': {
            'train': dict(car=14668, people=9340, lamp=1654, truck=691, bus=556, motorcycle=415),
            'val': dict(car=3623, people=2133, lamp=751, truck=317, bus=144, motorcycle=106),
        }
    }
    usual_shift = (-0.2, -4.4)

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._coco: dict[tuple[str, str], Labels] = {}

    def recognise(self, root: Path) -> Layout:
        """Look at a folder; see the base class."""
        files = scan(root)
        images: dict[str, dict[str, str]] = {}
        for path in filter(is_image, files):
            modality = modality_of(path)
            if modality:
                images.setdefault(stem_of(path), {}).setdefault(modality, path)
        coco = find_coco(root, files)
        labels = {stem_of(p): p for p in reversed(files) if p.lower().endswith('.xml')}
        labels_only = not any(map(is_image, files))
        if not (coco or labels) or not (images or labels_only):
            raise InputError(
                f'{root}: wanted images in vis/ and ir/ (or visible/ and infrared/) and their labels in COCO '
                'or VOC files, so this is no folder of M3FD; give the folder that holds them all'
            )
        if coco:
            splits, lists = self._from_coco(root, coco, images)
        else:
            found = {s: _official(f'{s}.png') for s in labels} if labels_only else images
            splits, lists = {'all': [_pair(s, found[s], labels.get(s)) for s in sorted(found)]}, {}
        if list(splits) == ['all']:
            splits, lists = _by_lists(root, files, splits['all'])
        form = f'COCO labels in {", ".join(coco)}' if coco else f'{len(labels)} VOC files'
        rule = ', '.join(f'{split}: {path}' for split, path in lists.items()) or 'no list, all in one'
        layout = Layout(
            root,
            f'M3FD, {form}; split by {rule}',
            ('vis/', 'ir/') if labels_only else _prefixes(images),
            splits,
            'unknown',
            dict(layout='coco' if coco else 'voc', split_by=rule, lists=lists),
            labels_only=labels_only,
            lists=sorted({*coco, *lists.values()}),
        )
        layout.find_overlaps()
        used = {p.key for pairs in splits.values() for p in pairs}
        for stem in sorted(set(images) - used):
            if len(images[stem]) == 1:
                layout.add_problem('orphan-image', next(iter(images[stem].values())))
        for stem in sorted(set(labels) - set(images)) if images and not coco else ():
            layout.add_problem('orphan-label', labels[stem])
        return layout

    def read_labels(self, root: Path, pair: Pair) -> Labels:
        """Read the boxes in raw coordinates; see the base class."""
        return self._coco[pair.label, pair.key] if self._coco else read_voc_boxes(root / pair.label)

    def info(self, layout: Layout, split: str) -> dict:
        """Return the list that the split goes by; see the base class."""
        return dict(split_list=layout.source['lists'].get(split, 'none: all pairs'))

    def _from_coco(
        self, root: Path, paths: list[str], images: dict[str, dict[str, str]]
    ) -> tuple[dict[str, list[Pair]], dict[str, str]]:
        """Return the pairs that COCO files list by split, and the file of each split."""
        by_split: dict[str, list[str]] = {}
        for path in paths:
            by_split.setdefault(split_of(path) or 'all', []).append(path)
        if len(by_split) > 1:
            by_split.pop('all', None)
        for split, same in by_split.items():
            if len(same) > 1:
                raise InputError(
                    f'{root}: {" and ".join(same)} are both for {split} pairs; leave one of them'
                )
        lists = {split: by_split[split][0] for split in (*SPLITS, 'all') if split in by_split}
        splits: dict[str, list[Pair]] = {}
        for split, path in lists.items():
            splits[split] = []
            for entry in parse_coco(root / path).images:
                stem = stem_of(entry.visible)
                if (path, stem) in self._coco:
                    raise InputError(f'{root / path}: two images are called {stem}')
                self._coco[path, stem] = entry.labels
                found = images.get(stem) if images else _official(posixpath.basename(entry.visible))
                splits[split].append(_pair(stem, found, path))
        return splits, {} if list(lists) == ['all'] else lists


def _by_lists(
    root: Path, files: list[str], pairs: list[Pair]
) -> tuple[dict[str, list[Pair]], dict[str, str]]:
    """Divide pairs by the lists of a folder, if there are any; return the list of each split, too."""
    known = {p.key: p for p in pairs}
    splits: dict[str, list[Pair]] = {}
    lists: dict[str, str] = {}
    for path in files:
        split = split_of(path)
        if split is None or not path.lower().endswith('.txt'):
            continue
        names = list(dict.fromkeys(m[1] for m in read_list(root / path, _ENTRY, 'an image', must=False)))
        if not set(names) & set(known):
            continue
        if split in lists:
            raise InputError(f'{root}: {lists[split]} and {path} are both lists of {split} pairs; leave one')
        lists[split] = path
        splits[split] = [known.get(name) or _pair(name, None, None) for name in names]
    ordered = [s for s in SPLITS if s in splits]
    if not lists:
        return {'all': pairs}, {}
    return {s: splits[s] for s in ordered}, {s: lists[s] for s in ordered}


def _pair(stem: str, found: dict[str, str] | None, label: str | None) -> Pair:
    found = found or {}
    return Pair(stem, found.get('visible'), found.get('infrared'), label)


def _official(name: str) -> dict[str, str]:
    return dict(visible=f'vis/{name}', infrared=f'ir/{name}')


def _prefixes(images: dict[str, dict[str, str]]) -> tuple[str, str]:
    chosen = [[found[m] for found in images.values() if m in found] for m in ('visible', 'infrared')]
    return common_folder(chosen[0]), common_folder(chosen[1])
