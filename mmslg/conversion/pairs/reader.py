"""Own pairs: folders and labels in the forms that are usual in this field, told by looking."""

from __future__ import annotations

import difflib
from collections import Counter
from pathlib import Path

import numpy as np

from mmslg.conversion import quads
from mmslg.conversion.base import DatasetReader, Size
from mmslg.conversion.coco import find_coco
from mmslg.conversion.layout import SPLITS, Box, Labels, Layout, Pair, common_folder, is_image, scan
from mmslg.conversion.output import annotation_file, is_ready
from mmslg.conversion.pairs.coco_files import read_coco_pairs
from mmslg.conversion.pairs.forms import LabelForm, VocLabels, YoloLabels
from mmslg.conversion.pairs.labels import choose_labels, label_of, label_places
from mmslg.conversion.pairs.pairing import Paired, pair_images
from mmslg.conversion.pairs.places import Place, place_of
from mmslg.conversion.pairs.splits import find_splits
from mmslg.conversion.pairs.yolo import NamesFile, check_names, find_names, is_names_list, plain
from mmslg.errors import InputError

MAX_OVERSHOOT = 100
"""By how many pixels oriented boxes may exceed the image without looking like those of another one."""
FORMS = {'yolo': '.txt', 'voc': '.xml', 'coco': '.json'}


class PairsReader(DatasetReader):
    """Reads YOLO, VOC and COCO labels of pairs whose folders or names tell visible from infrared."""

    name = 'pairs'
    title = 'own pairs with YOLO, YOLO-OBB, VOC or COCO labels'
    classes = ()
    flags = {
        '--labels': dict(
            choices=('ir', 'rgb'),
            help='labels drawn in the infrared or the visible images (default: infrared, if there are both)',
        ),
        '--names': dict(nargs='+', metavar='NAME', help='what the class numbers of YOLO labels mean, from 0'),
        '--classes': dict(nargs='+', metavar='NAME', help='classes to keep, in this order (default: all)'),
        '--visible': dict(metavar='DIR', help='folder of the visible images, where its name does not tell'),
        '--infrared': dict(metavar='DIR', help='folder of the infrared images, with --visible'),
        '--form': dict(choices=tuple(FORMS), help='form of the labels, where there are several'),
        '--edge': dict(
            choices=('clip', 'keep', 'drop'),
            default='clip',
            help='boxes across the edge of the image: clip them (default), keep or drop them',
        ),
        '--test-every': dict(
            type=int, metavar='N', help='every N-th pair becomes test, where there is one set only'
        ),
    }

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        chosen = self.options
        if (chosen.visible is None) != (chosen.infrared is None):
            raise InputError('--visible and --infrared go together: name both folders')
        if chosen.test_every is not None and chosen.test_every < 2:
            raise InputError(f'--test-every should be 2 or more, got {chosen.test_every}')
        self._names = [NamesFile('--names', check_names('--names', chosen.names))] if chosen.names else []
        self._kept = check_names('--classes', chosen.classes) if chosen.classes else ()
        self._labels: LabelForm | None = None
        self._spellings: dict[str, str] = {}

    def recognise(self, root: Path) -> Layout:
        """Look at a folder; see the base class."""
        files = scan(root)
        images = [p for p in files if is_image(p)]
        if not images:
            raise InputError(f'{root}: there are no images; give the folder that holds images and labels')
        chosen = None if self.options.visible is None else self._chosen_folders(root)
        paired = pair_images(root, images, chosen)
        form, candidates = self._choose_form(root, [place_of(p, paired.roles) for p in files], paired)
        layout = Layout(root, '', ('', ''), {}, 'unknown', dict(layout=form))
        if form == 'coco':
            texts = self._take_coco(layout, candidates, paired)
        else:
            texts = self._take_files(layout, form, files, candidates, paired)
        texts += _split_off_test(layout, self.options.test_every)
        texts += self._set_classes(root)
        _finish(layout, paired)
        visible, infrared = (', '.join(folders) for folders in paired.folders)
        title = self._labels.title + (', oriented' if self._labels.oriented else '')
        layout.source.update(oriented=self._labels.oriented, taken=texts)
        layout.description = '; '.join(
            [
                f'visible images in {visible}, infrared in {infrared}',
                f'{title} labels: {texts[0]}',
                f'classes {", ".join(self.classes)} (from {self._labels.source})',
                *texts[1:],
            ]
        )
        return layout

    def read_labels(self, root: Path, pair: Pair) -> Labels:
        """Read the boxes of a pair in pixels; see the base class."""
        return self._labels.read(root, pair)

    def class_of(self, name: str) -> str | None:
        """Return the class of a name, however it is spelled; see the base class."""
        return self._spellings.get(plain(name))

    def annotation(self, box: Box, size: Size, stats: Counter) -> dict | None:
        """Turn a box into corners where the dataset is oriented; see the base class."""
        points = box.points
        if self._labels.oriented:
            if len(points) == 4:
                points = quads.corners(points)
                stats['upright boxes taken as oriented ones'] += 1
            quad = np.reshape(points, (4, 2))
            return quads.annotation(quad, size, self.options.edge, stats, 'image')
        x1, y1, x2, y2 = points
        inside = max(x1, 0), max(y1, 0), min(x2, size[0]), min(y2, size[1])
        crosses = inside != points and inside[0] < inside[2] and inside[1] < inside[3]
        if crosses and self.options.edge == 'drop':
            stats['dropped: across the edge of the image'] += 1
            return None
        if crosses and self.options.edge == 'clip':
            stats['clipped: across the edge of the image'] += 1
            box = Box(box.name, inside, box.extra)
        fields = super().annotation(box, size, stats)
        return fields and dict(bbox=[quads.tidy(v) for v in fields['bbox']], area=quads.tidy(fields['area']))

    def policies(self) -> dict[str, str]:
        """Return what happens to pairs and boxes that do not fit; see the base class."""
        return {**super().policies(), 'boxes_across_the_edge': self.options.edge}

    def _chosen_folders(self, root: Path) -> tuple[str, str]:
        """Return the folders that the user named, below ``root``."""
        found = []
        for flag in ('visible', 'infrared'):
            folder = Path(getattr(self.options, flag))
            below = folder if folder.is_absolute() else root / folder
            try:
                relative = below.resolve().relative_to(root.resolve())
            except ValueError:
                relative = None
            if relative is None or not below.is_dir():
                raise InputError(f'--{flag} {folder}: wanted a folder below {root}')
            found.append('' if relative == Path('.') else relative.as_posix())
        return tuple(found)

    def _choose_form(self, root: Path, places: list[Place], paired: Paired) -> tuple[str, list[Place]]:
        """Say which of the three forms the labels have, and return the files that are in it."""
        found, broken = {}, None
        for form, ending in FORMS.items():
            some = [p for p in places if p.path.lower().endswith(ending) and not is_names_list(p.path)]
            if form != 'coco':
                found[form] = label_places(some, paired)
                continue
            found[form] = []
            for place in some:
                try:
                    found[form] += [place] if find_coco(root, [place.path]) else []
                except InputError as error:
                    broken = error
        there = [form for form, candidates in found.items() if candidates]
        if not there and broken:
            raise broken
        form = self.options.form
        if form is None and len(there) > 1:
            raise InputError(
                f'{root}: there are labels in several forms '
                f'({", ".join(f"{len(found[f])} {f}" for f in there)}); choose by --form {" or ".join(there)}'
            )
        if not there or form not in (None, *there):
            names = {annotation_file(split) for split in SPLITS}
            done = next((p.path for p in places if p.path in names), None)
            way = f'; {done} is converted already' if done else ''
            if done and is_ready(root):
                way += f': tools/new_config.py {root} takes the folder as it is'
            raise InputError(
                f'{root}: there are no {form or "yolo, voc or coco"} labels: wanted .txt or .xml files named '
                f'like the images, in folders such as labels/, or a COCO .json for each split{way}'
            )
        form = form or there[0]
        if self._names and form != 'yolo':
            raise InputError(
                f'{root}: --names is for the numbers of YOLO labels, and these are {form}; use --classes'
            )
        return form, found[form]

    def _take_files(
        self, layout: Layout, form: str, files: list[str], candidates: list[Place], paired: Paired
    ) -> list[str]:
        """Take label files of single images; returns what was taken, in words."""
        root = layout.root
        names = find_names(root, files)
        labels = choose_labels(root, candidates, paired, self.options.labels)
        splits = find_splits(root, files, paired, [n.settings for n in names])
        layout.label_modality = labels.modality
        layout.lists = [*splits.lists, *(n.path for n in names)]
        texts = [labels.description, splits.description]
        for split, identities in splits.pairs.items():
            pairs = [paired.pair(i, label_of(i, labels.found)) for i in identities]
            if not any(p.label for p in pairs):
                texts.append(f'{split} is left out: none of its {len(pairs)} pairs has a label file')
                for pair in pairs:
                    layout.add_problem('missing-label', pair.key)
                continue
            layout.splits[split] = pairs + [Pair(e, None, None, None) for e in splits.unknown.get(split, ())]
        for path in labels.orphans:
            layout.add_problem('orphan-label', path)
        taken = [p.label for pairs in layout.splits.values() for p in pairs if p.label]
        if not taken:
            raise InputError(f'{root}: no label file belongs to a pair; there are {labels.description}')
        if form == 'voc':
            self._labels = VocLabels(root, taken, names)
        else:
            self._labels = YoloLabels(root, taken, self._names or names)
        return texts

    def _take_coco(self, layout: Layout, candidates: list[Place], paired: Paired) -> list[str]:
        """Take COCO files; returns what was taken, in words."""
        self._labels, texts = read_coco_pairs(layout, candidates, paired, self.options.labels)
        return texts

    def _set_classes(self, root: Path) -> list[str]:
        """Take the classes of the labels or of ``--classes``; returns a remark on those, in words."""
        names = self._labels.classes
        remarks = self._check_kept(root) if self._kept else []
        self.background_without_label = self._labels.background
        self.overshoot = MAX_OVERSHOOT if self._labels.oriented else 1
        self.classes = self._kept or names
        self._spellings = {plain(name): name for name in self.classes}
        self.known_strays = tuple(name.lower() for name in names if plain(name) not in self._spellings)
        if not self.classes:
            raise InputError('there is no class: the labels hold no object; name the classes by --classes')
        return remarks

    def _check_kept(self, root: Path) -> list[str]:
        """See that ``--classes`` names classes of the dataset; returns a remark on those without a label.

        A class may be absent altogether, since train and test may lie in folders of their own.
        """
        labelled = {plain(name) for name in self._labels.labelled()}
        known = {plain(name): name for name in self._labels.classes}
        kept = {plain(name): name for name in self._kept}
        others = [spelling for spelling in known if spelling not in kept]
        for spelling, name in kept.items():
            similar = difflib.get_close_matches(spelling, others, 1)
            if similar and spelling not in known:
                raise InputError(
                    f'{root}: --classes: there is no class {name}; did you mean {known[similar[0]]}?'
                )
        absent = ', '.join(name for spelling, name in kept.items() if spelling not in labelled)
        if labelled and not labelled & kept.keys():
            there = ', '.join(name for spelling, name in known.items() if spelling in labelled)
            raise InputError(
                f'{root}: --classes: no label is of class {absent}, there are labels of {there}; '
                'correct the names'
            )
        return [f'no label of {absent}'] if absent else []


def _split_off_test(layout: Layout, every: int | None) -> list[str]:
    """Put every n-th pair into ``test`` if that is wanted; returns in words what became of one set.

    Raises:
        InputError: It is wanted, and there are splits already.
    """
    one = list(layout.splits) == ['train']
    if not every:
        return ['all of it is train (--test-every N makes a test split)'] if one else []
    if not one:
        raise InputError(
            f'{layout.root}: --test-every {every} is for one set, and there are the splits '
            f'{", ".join(layout.splits)} already; leave it out'
        )
    pairs = layout.splits['train']
    if len(pairs) < every:
        return [f'all of it is train: too few pairs ({len(pairs)}) for --test-every {every}']
    layout.splits['train'] = [pair for n, pair in enumerate(pairs, 1) if n % every]
    layout.splits['test'] = pairs[every - 1 :: every]
    return [f'of every {every} pairs the last is test']


def _finish(layout: Layout, paired: Paired) -> None:
    """Fill in where the images lie, and what is wrong with the files as a whole."""
    pairs = [p for split in layout.splits.values() for p in split]
    layout.prefixes = (
        common_folder(p.visible for p in pairs if p.visible),
        common_folder(p.infrared for p in pairs if p.infrared),
    )
    for path in paired.unused:
        layout.add_problem('orphan-image', path)
    layout.find_overlaps()
