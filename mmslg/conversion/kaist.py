"""KAIST: pedestrians by day and night, 640x512, with improved test and paired training labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mmslg.conversion import kaist_files
from mmslg.conversion.base import DatasetReader
from mmslg.conversion.kaist_files import Frame, LabelSet
from mmslg.conversion.layout import Box, Labels, Layout, Pair, common_folder, scan
from mmslg.conversion.published import KAIST_TRAIN_LISTS
from mmslg.conversion.voc import parse_voc
from mmslg.errors import InputError
from mmslg.evaluation.functional.kaist import NIGHT_SETS, read_bbgt

FIRST_TEST_SET = 6
TEST_STEP = 20
"""The test split takes every 20th frame: I00019, I00039, ..."""


class KaistReader(DatasetReader):
    """Reads bbGt or XML labels beside ``images/setXX/VYYY/{visible,lwir}``.

    Annotations keep what the miss-rate protocols need: ``label``, ``occlusion``, ``ignore`` (any label but
    ``person``, or the file's own flag) and ``height``. Boxes are never clipped.
    """

    name = 'kaist'
    classes = ('person', 'cyclist', 'people', 'person?')
    aliases: dict[str, str] = {}

    def recognise(self, root: Path) -> Layout:
        """Look at a folder; see the base class."""
        files = scan(root)
        images = kaist_files.find_images(files)
        sets = kaist_files.find_labels(files)
        if not sets:
            raise InputError(
                f'{root}: no label files setXX_VYYY_IZZZZZ.txt or setXX/VYYY/[visible/|lwir/]IZZZZZ '
                'with .txt or .xml, so this is no folder of KAIST; put the annotations beside the images'
            )
        layout = Layout(root, '', ('', ''), {}, 'both', dict(labels={}, lists={}), labels_only=not images)
        words = []
        for split in ('train', 'test'):
            label_set = self._choose(sets, split)
            if label_set is not None:
                words.append(self._add_split(layout, split, label_set, files, images))
        chosen = [[f[m] for f in images.values() if m in f] for m in ('visible', 'lwir')]
        layout.prefixes = ('images/', 'images/') if layout.labels_only else tuple(map(common_folder, chosen))
        layout.description = 'KAIST; ' + '; '.join(words)
        used = {p.key for pairs in layout.splits.values() for p in pairs}
        for frame, found in sorted(images.items()):
            if len(found) == 1 and frame.flat not in used:
                layout.add_problem('orphan-image', next(iter(found.values())))
        return layout

    def _choose(self, sets: list[LabelSet], split: str) -> LabelSet | None:
        """Take the best set of labels for a split: improved test labels, paired training labels."""
        suited = [s for s in sets if any(_is_test(f) == (split == 'test') for f in s.frames)]
        order = (
            ('improved', 'paired', 'nested', 'xml')
            if split == 'test'
            else ('paired', 'improved', 'xml', 'nested')
        )
        return min(suited, key=lambda s: (order.index(s.kind), -len(s.frames), s.folder), default=None)

    def _add_split(self, layout: Layout, split: str, labels: LabelSet, files: list[str], images: dict) -> str:
        labelled = sorted(f for f in labels.frames if _is_test(f) == (split == 'test'))
        frames, named = self._frames(layout, split, labelled, files)
        modality = 'lwir' if self.options.labels == 'ir' else 'visible'
        if labels.kind == 'paired':
            layout.split_modalities[split] = 'ir' if self.options.labels == 'ir' else 'visible'
        pairs = []
        for frame in frames:
            found = images.get(frame, {})
            if layout.labels_only:
                found = {m: f'images/{frame.folder}/{m}/{frame.image}.jpg' for m in ('visible', 'lwir')}
            label = labels.frames.get(frame, {})
            pairs.append(
                Pair(
                    frame.flat,
                    found.get('visible'),
                    found.get('lwir'),
                    label.get(modality) or label.get(''),
                    'night' if frame.set_number in NIGHT_SETS else 'day',
                    dict(im_name=f'{frame.folder}/{frame.image}'),
                )
            )
        layout.splits[split] = pairs
        listed = set(frames)
        if not layout.labels_only and not named.startswith('list'):
            for frame in images:
                wanted = _is_test(frame) and frame.number % TEST_STEP == TEST_STEP - 1
                if split == 'test' and wanted and frame not in listed:
                    layout.splits[split].append(
                        Pair(frame.flat, images[frame].get('visible'), images[frame].get('lwir'), None)
                    )
            layout.splits[split].sort(key=lambda p: p.key)
        layout.source['labels'][split] = f'{labels.words} in {labels.folder or "."}'
        layout.source['lists'][split] = named
        return f'{split}: {labels.words} in {labels.folder or "."}, {named}'

    def _frames(
        self, layout: Layout, split: str, labelled: list[Frame], files: list[str]
    ) -> tuple[list[Frame], str]:
        """Return the frames of a split and in words why these."""
        if split == 'test':
            regular = [f for f in labelled if f.number % TEST_STEP == TEST_STEP - 1]
            if len(regular) == len(labelled):
                return labelled, f'{len(labelled)} labelled frames'
            return regular, f'every {TEST_STEP}th frame, {len(regular)} of {len(labelled)} labelled ones'
        lists = kaist_files.find_lists(layout.root, files, self.options.train_list)
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
        known = ', as the training list of that length' if len(labelled) in KAIST_TRAIN_LISTS else ''
        return labelled, f'no list: all {len(labelled)} labelled frames{known}'

    def read_labels(self, root: Path, pair: Pair) -> Labels:
        """Read boxes in raw coordinates with label, occlusion, ignore flag and height; see the base class."""
        path = root / pair.label
        boxes = []
        size = None
        if path.suffix.lower() == '.txt':
            for item in read_bbgt(path):
                boxes.append(_box(item.label, item.bbox, item.occlusion, item.ignore))
        else:
            voc = parse_voc(path)
            size = voc.size
            for n, item in enumerate(voc.objects, 1):
                if item.shape != 'bndbox':
                    raise InputError(f'{path}: object {n} has no <bndbox>')
                x1, y1, x2, y2 = item.points
                flags = [item.tags.get(k) or '0' for k in ('occlusion', 'ignore')]
                if flags[0] not in ('0', '1', '2') or flags[1] not in ('0', '1'):
                    raise InputError(f'{path}: object {n}: occlusion should be 0, 1 or 2 and ignore 0 or 1')
                boxes.append(_box(item.name, (x1, y1, x2 - x1, y2 - y1), int(flags[0]), int(flags[1])))
        return Labels(tuple(boxes), size, Counter())

    def annotation(self, box: Box, size: tuple[int, int], stats: Counter) -> dict | None:
        """Keep the box as it is, also where it exceeds the image; see the base class."""
        x1, y1, x2, y2 = box.points
        if x2 <= x1 or y2 <= y1:
            stats['dropped: no area'] += 1
            return None
        if x1 < 0 or y1 < 0 or x2 > size[0] or y2 > size[1]:
            stats['kept as they are: across the edge of the image'] += 1
        extra = {k: v for k, v in box.extra.items() if k != 'label'}
        return dict(
            bbox=[x1, y1, x2 - x1, y2 - y1], area=(x2 - x1) * (y2 - y1), label=box.extra['label'], **extra
        )


def _box(label: str, bbox: tuple, occlusion: int, ignore: int) -> Box:
    x, y, w, h = bbox
    ignored = int(bool(ignore) or label != 'person')
    return Box(label, (x, y, x + w, y + h), dict(label=label, height=h, occlusion=occlusion, ignore=ignored))


def _is_test(frame: Frame) -> bool:
    return frame.set_number >= FIRST_TEST_SET
