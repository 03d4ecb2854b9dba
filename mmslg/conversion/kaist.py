"""KAIST: pedestrians by day and night, 640x512, with improved test and paired training labels."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmslg.conversion.base import LABELS_FLAG, DatasetReader, Size
from mmslg.conversion.layout import (
    Box,
    Labels,
    Layout,
    Pair,
    common_folder,
    is_image,
    modality_of,
    read_list,
    scan,
)
from mmslg.conversion.voc import parse_voc
from mmslg.errors import InputError
from mmslg.evaluation.functional.kaist import NAME, frame_name, frame_time, read_bbgt

FIRST_TEST_SET = 6
TEST_STEP = 20
"""The test split takes every 20th frame: I00019, I00039, ..."""
TRAIN_LISTS = (25086, 8892, 7601)
"""Lengths of the training lists in use."""
_REST = re.compile(r'(?:_(visible|lwir))?\.(\w+)')
_KINDS = dict(
    improved='flat bbGt txt (improved labels)',
    paired='paired bbGt txt, one for each modality',
    nested='bbGt txt by video (original or sanitized labels)',
    xml='XML labels',
)


@dataclass
class LabelSet:
    """Label files of one kind below one folder.

    Args:
        kind: ``improved`` (flat txt), ``paired`` (one txt for each modality), ``nested`` (one txt in a
            folder of its video) or ``xml``.
        folder: Folder below the dataset's.
        frames: Files of each frame ``set06/V000/I00019`` by modality; '' where one file is for both images.
    """

    kind: str
    folder: str
    frames: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The kind and the folder in words."""
        return f'{_KINDS[self.kind]} in {self.folder or "."}'


class KaistReader(DatasetReader):
    """Reads bbGt or XML labels beside ``images/setXX/VYYY/{visible,lwir}``.

    Annotations keep what the miss-rate protocols need: ``label``, ``occlusion``, ``ignore`` (any label but
    ``person``, or the file's own flag) and ``height``. Boxes are never clipped.
    """

    name = 'kaist'
    title = 'KAIST: pedestrians by day and night'
    classes = ('person', 'cyclist', 'people', 'person?')
    flags = {
        '--labels': LABELS_FLAG,
        '--train-list': dict(metavar='NAME', help='training list, where there are several'),
    }
    sizes = ((640, 512),)
    pairs = {'test': 2252}
    versions = {
        'published test labels': {'test': {'person': 3390, 'people': 597, 'person?': 177, 'cyclist': 90}}
    }
    overshoot = 6
    usual_shift = (-0.7, 0.9)

    def published_pairs(self, found: Mapping[str, int]) -> Mapping[str, int]:
        """Return the length of the training list, too, if it is one of those in use; see the base class."""
        known = found.get('train') in TRAIN_LISTS
        return {**self.pairs, 'train': found['train']} if known else self.pairs

    def recognise(self, root: Path) -> Layout:
        """Look at a folder; see the base class."""
        files = scan(root)
        images = find_images(files)
        sets = find_labels(files)
        if not sets:
            raise InputError(
                f'{root}: no label files setXX_VYYY_IZZZZZ.txt or setXX/VYYY/[visible/|lwir/]IZZZZZ '
                'with .txt or .xml, so this is no folder of KAIST; put the annotations beside the images'
            )
        layout = Layout(root, '', ('', ''), {}, 'both', dict(labels={}, lists={}), labels_only=not images)
        words = []
        for split in ('train', 'test'):
            label_set = _choose(sets, split)
            if label_set is not None:
                words.append(self._add_split(layout, split, label_set, files, images))
        chosen = [[f[m] for f in images.values() if m in f] for m in ('visible', 'infrared')]
        layout.prefixes = ('images/', 'images/') if layout.labels_only else tuple(map(common_folder, chosen))
        layout.description = 'KAIST; ' + '; '.join(words)
        used = {p.key for pairs in layout.splits.values() for p in pairs}
        for frame, found in sorted(images.items()):
            if len(found) == 1 and _flat(frame) not in used:
                layout.add_problem('orphan-image', next(iter(found.values())))
        return layout

    def _add_split(self, layout: Layout, split: str, labels: LabelSet, files: list[str], images: dict) -> str:
        labelled = sorted(f for f in labels.frames if _is_test(f) == (split == 'test'))
        frames, named = self._frames(layout, split, labelled, files)
        modality = 'infrared' if self.options.labels == 'ir' else 'visible'
        if labels.kind == 'paired':
            layout.split_modalities[split] = 'ir' if self.options.labels == 'ir' else 'visible'
        pairs = []
        for frame in frames:
            found = images.get(frame, {})
            if layout.labels_only:
                folder, image = posixpath.split(frame)
                names = (f'images/{folder}/{m}/{image}.jpg' for m in ('visible', 'lwir'))
                found = dict(zip(('visible', 'infrared'), names))
            label = labels.frames.get(frame, {})
            label = label.get(modality) or label.get('')
            both = found.get('visible'), found.get('infrared')
            pairs.append(Pair(_flat(frame), *both, label, frame_time(frame) or None, dict(im_name=frame)))
        if split == 'test' and not layout.labels_only:
            for frame in sorted(set(images) - set(frames)):
                if _is_test(frame) and _is_regular(frame):
                    found = images[frame]
                    pairs.append(Pair(_flat(frame), found.get('visible'), found.get('infrared'), None))
        layout.splits[split] = sorted(pairs, key=lambda p: p.key)
        layout.source['labels'][split] = labels.words
        layout.source['lists'][split] = named
        return f'{split}: {labels.words}, {named}'

    def _frames(
        self, layout: Layout, split: str, labelled: list[str], files: list[str]
    ) -> tuple[list[str], str]:
        """Return the frames of a split and in words why these."""
        if split == 'test':
            regular = [f for f in labelled if _is_regular(f)]
            if len(regular) == len(labelled):
                return labelled, f'{len(labelled)} labelled frames'
            return regular, f'every {TEST_STEP}th frame, {len(regular)} of {len(labelled)} labelled ones'
        lists = find_lists(layout.root, files, self.options.train_list)
        matching = [p for p, frames in lists.items() if set(frames) == set(labelled)]
        if len(lists) > 1 and not matching:
            sizes = ', '.join(f'{p} ({len(f)})' for p, f in lists.items())
            raise InputError(
                f'{layout.root}: several training lists: {sizes}; choose one by --train-list NAME'
            )
        if lists:
            path = (matching or list(lists))[0]
            layout.lists.append(path)
            return sorted(lists[path]), f'list {path} of {len(lists[path])} frames'
        known = ', as the training list of that length' if len(labelled) in TRAIN_LISTS else ''
        return labelled, f'no list: all {len(labelled)} labelled frames{known}'

    def read_labels(self, root: Path, pair: Pair) -> Labels:
        """Read boxes in raw coordinates with label, occlusion, ignore flag and height; see the base class."""
        path = root / pair.label
        if path.suffix.lower() == '.txt':
            return Labels(tuple(_box(i.label, i.bbox, i.occlusion, i.ignore) for i in read_bbgt(path)))
        voc = parse_voc(path)
        boxes = []
        for n, item in enumerate(voc.objects, 1):
            if item.shape != 'bndbox':
                raise InputError(f'{path}: object {n} has no <bndbox>')
            x1, y1, x2, y2 = item.points
            flags = [item.tags.get(k) or '0' for k in ('occlusion', 'ignore')]
            if flags[0] not in ('0', '1', '2') or flags[1] not in ('0', '1'):
                raise InputError(f'{path}: object {n}: occlusion should be 0, 1 or 2 and ignore 0 or 1')
            boxes.append(_box(item.name, (x1, y1, x2 - x1, y2 - y1), int(flags[0]), int(flags[1])))
        return Labels(tuple(boxes), voc.size)

    def annotation(self, box: Box, size: Size, stats: Counter) -> dict | None:
        """Keep the box as it is, also where it exceeds the image; see the base class."""
        x1, y1, x2, y2 = box.points
        if x2 <= x1 or y2 <= y1:
            stats['dropped: no area'] += 1
            return None
        if x1 < 0 or y1 < 0 or x2 > size[0] or y2 > size[1]:
            stats['kept as they are: across the edge of the image'] += 1
        return dict(bbox=[x1, y1, x2 - x1, y2 - y1], area=(x2 - x1) * (y2 - y1), **box.extra)


def find_images(files: list[str]) -> dict[str, dict[str, str]]:
    """Return the images of each frame by modality, ``visible`` or ``infrared``."""
    images: dict[str, dict[str, str]] = {}
    for path in filter(is_image, files):
        frame, _, modality, _ = _frame_file(path)
        if frame and modality:
            images.setdefault(frame, {}).setdefault(modality, path)
    return images


def find_labels(files: list[str]) -> list[LabelSet]:
    """Return the sets of label files that a folder holds."""
    sets: dict[tuple[str, str], LabelSet] = {}
    for path in files:
        if not path.lower().endswith(('.txt', '.xml')):
            continue
        frame, folder, modality, flat = _frame_file(path)
        if frame is None:
            continue
        if flat and modality_of(f'{folder}/'):
            folder = posixpath.dirname(folder)
        xml = path.lower().endswith('.xml')
        kind = 'xml' if xml else 'paired' if modality else 'improved' if flat else 'nested'
        labels = sets.setdefault((kind, folder), LabelSet(kind, folder))
        labels.frames.setdefault(frame, {}).setdefault(modality or '', path)
    return list(sets.values())


def find_lists(root: Path, files: list[str], wanted: str | None) -> dict[str, list[str]]:
    """Return the training lists of a folder, or the one that the user wants.

    Raises:
        InputError: The wanted list is not there, or no list.
    """
    names = [p for p in files if p.endswith('.txt') and 'train' in posixpath.basename(p).lower()]
    if wanted is not None:
        names = [p for p in files if wanted in (p, posixpath.basename(p))]
        if len(names) != 1:
            found = 'is no file' if not names else 'could be ' + ' or '.join(names)
            raise InputError(f'--train-list {wanted}: {found} below {root}')
    what, must = 'a frame setXX/VYYY/IZZZZZ', wanted is not None
    lists = {p: [m.group() for m in read_list(root / p, NAME, what, must)] for p in names}
    return {p: list(dict.fromkeys(map(frame_name, frames))) for p, frames in lists.items() if frames}


def _choose(sets: list[LabelSet], split: str) -> LabelSet | None:
    """Take the best set of labels for a split: improved test labels, paired training labels."""
    suited = [s for s in sets if any(_is_test(f) == (split == 'test') for f in s.frames)]
    best = dict(test=('improved', 'paired', 'nested', 'xml'), train=('paired', 'improved', 'xml', 'nested'))
    return min(suited, key=lambda s: (best[split].index(s.kind), -len(s.frames), s.folder), default=None)


def _frame_file(path: str) -> tuple[str | None, str, str | None, bool]:
    """Return frame, folder above, modality, and whether the frame is all in the file's name."""
    match = NAME.search(path)
    rest = match and _REST.fullmatch(path, match.end())
    if not rest or path[match.start() - 1 : match.start()] not in ('', '/'):
        return None, '', None, False
    folder = path[: match.start()]
    modality = match['modality'] or rest[1]
    modality = modality_of(f'{modality}/') if modality else modality_of(folder)
    return frame_name(path), folder.rstrip('/'), modality, '/' not in match.group()


def _box(label: str, bbox: tuple, occlusion: int, ignore: int) -> Box:
    x, y, w, h = bbox
    ignored = int(bool(ignore) or label != 'person')
    return Box(label, (x, y, x + w, y + h), dict(label=label, height=h, occlusion=occlusion, ignore=ignored))


def _flat(frame: str) -> str:
    return frame.replace('/', '_')


def _is_test(frame: str) -> bool:
    return int(frame[3:5]) >= FIRST_TEST_SET


def _is_regular(frame: str) -> bool:
    return int(frame[-5:]) % TEST_STEP == TEST_STEP - 1
