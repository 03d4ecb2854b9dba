"""DroneVehicle: vehicles from above with oriented boxes, 640x512 inside a white border of 100 pixels."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmslg.conversion import quads
from mmslg.conversion.base import LABELS_FLAG, Crop, DatasetReader, Size
from mmslg.conversion.layout import SPLITS, Box, Labels, Layout, Pair, common_folder, is_image, scan
from mmslg.conversion.voc import boxes_of, parse_voc
from mmslg.errors import InputError

BORDER = 100
"""White border of the images in pixels on each side."""
WHITE = 235
"""Mean of a ring from which on it counts as a white border."""
RENUMBERED = {'val': (17991, 19459), 'test': (19460, 28439)}
"""File numbers of the copies that count through all splits."""
_FOLDER = re.compile(r'(train|val|test)(img|imgr|label|labelr)', re.I)


class DroneVehicleReader(DatasetReader):
    """Reads ``{split}/{split}{img,imgr,label,labelr}``."""

    name = 'dronevehicle'
    title = 'DroneVehicle: vehicles from above, oriented boxes'
    classes = ('car', 'truck', 'freight-car', 'bus', 'van')
    aliases = {
        **dict.fromkeys(
            ('feright car', 'feright_car', 'feright-car', 'feright', 'freight car', 'freight_car', 'freight'),
            'freight-car',
        ),
        'truvk': 'truck',
    }
    known_strays = ('*',)
    flags = {
        '--labels': LABELS_FLAG,
        '--edge': dict(
            choices=('clip', 'keep', 'drop'),
            default='clip',
            help='boxes across the edge of the content: clip them (default), keep or drop them',
        ),
    }
    sizes = ((640, 512), (640 + 2 * BORDER, 512 + 2 * BORDER))
    mixed_sizes = 'border'
    pairs = {'train': 17990, 'val': 1469, 'test': 8980}
    known_truncated = ('train/trainimg/09012.jpg', 'train/trainimgr/16009.jpg')
    overshoot = BORDER + 1
    usual_shift = (0.0, -0.8)
    own_kinds = {
        'border': (
            'white border not as expected',
            'keep all images at 840x712 with, or at 640x512 without border',
        )
    }

    def recognise(self, root: Path) -> Layout:
        """Look at a folder; see the base class."""
        found: dict[str, dict[str, dict[str, str]]] = {}
        for path in scan(root):
            folder, name = posixpath.split(path)
            match = _FOLDER.fullmatch(posixpath.basename(folder))
            is_label = match is not None and match[2].lower().startswith('label')
            if match and (name.lower().endswith('.xml') if is_label else is_image(name)):
                kinds = found.setdefault(match[1].lower(), {})
                kinds.setdefault(match[2].lower(), {}).setdefault(posixpath.splitext(name)[0], path)
        chosen = 'labelr' if self.options.labels == 'ir' else 'label'
        if not any('label' in kinds or 'labelr' in kinds for kinds in found.values()):
            raise InputError(
                f'{root}: no folders trainimg, trainimgr, trainlabel, trainlabelr (or val..., test...) with '
                'images and XML files, so this is no folder of DroneVehicle'
            )
        lacking = [split + chosen for split, kinds in found.items() if chosen not in kinds]
        if lacking:
            other = 'rgb' if chosen == 'labelr' else 'ir'
            raise InputError(
                f'{root}: no XML files in {", ".join(lacking)}; get them, or take the labels of the other '
                f'images by --labels {other}'
            )
        labels_only = not any(k in kinds for kinds in found.values() for k in ('img', 'imgr'))
        layout = Layout(
            root, '', ('', ''), {}, 'ir' if chosen == 'labelr' else 'visible', {}, {}, labels_only
        )
        for split in (s for s in SPLITS if s in found):
            self._add_split(layout, split, found[split], chosen)
        pairs = [p for s in layout.splits.values() for p in s]
        if not labels_only:
            layout.prefixes = tuple(
                common_folder(p for p in paths if p) if any(paths) else ''
                for paths in ([_above(q.visible) for q in pairs], [_above(q.infrared) for q in pairs])
            )
        renumbered = [
            s
            for s, (first, _) in RENUMBERED.items()
            if s in layout.splits and min((_number(p) for p in layout.splits[s]), default=0) >= first
        ]
        numbering = f'renumbered ({", ".join(renumbered)})' if renumbered else 'official'
        layout.description = (
            f'DroneVehicle, splits {", ".join(layout.splits)}; {numbering} file numbers; labels drawn in the '
            f'{"infrared" if chosen == "labelr" else "visible"} images'
        )
        layout.source = dict(layout='official', numbering=numbering, labels=chosen)
        return layout

    def _add_split(self, layout: Layout, split: str, kinds: dict, chosen: str) -> None:
        visible, infrared, labels = (kinds.get(k, {}) for k in ('img', 'imgr', chosen))
        if layout.labels_only:
            visible = {s: f'{split}/{split}img/{s}.jpg' for s in labels}
            infrared = {s: f'{split}/{split}imgr/{s}.jpg' for s in labels}
        layout.splits[split] = [
            Pair(f'{split}/{s}', visible.get(s), infrared.get(s), labels.get(s))
            for s in sorted(set(visible) | set(infrared))
        ]
        for stem in sorted(set(labels) - set(visible) - set(infrared)):
            layout.add_problem('orphan-label', labels[stem])

    def read_labels(self, root: Path, pair: Pair) -> Labels:
        """Read polygons, upright boxes as quadrangles, and count points; see the base class."""
        voc = parse_voc(root / pair.label)
        labels = boxes_of(voc)
        boxes = []
        for box in labels.boxes:
            if len(box.points) == 4:
                box = Box(box.name, quads.corners(box.points))
                labels.notes['upright boxes (bndbox) taken as oriented ones'] += 1
            boxes.append(box)
        if voc.filename and posixpath.splitext(voc.filename)[0] != posixpath.basename(pair.key):
            labels.notes['wrong <filename> in the XML, not used'] += 1
        return replace(labels, boxes=tuple(boxes))

    def crop_of(self, labels: Labels, image_size: Size | None) -> Crop | None:
        """Return the content of an image of 840x712; see the base class."""
        content, padded = self.sizes
        size = image_size or labels.size or padded
        return (BORDER, BORDER, *content) if size == padded else None

    def offset_of(self, labels: Labels, image_size: Size | None) -> tuple[int, int]:
        """Return the border, also where the images were cropped but the XML still speaks of 840x712."""
        cropped = (image_size, labels.size) == self.sizes
        return (BORDER, BORDER) if cropped or self.crop_of(labels, image_size) else (0, 0)

    def annotation(self, box: Box, size: Size, stats: Counter) -> dict | None:
        """Turn a quadrangle into ``segmentation`` and its enclosing ``bbox``; see the base class."""
        return quads.annotation(np.reshape(box.points, (4, 2)), size, self.options.edge, stats)

    def info(self, layout: Layout, split: str) -> dict:
        """Return the policy at the edge; see the base class."""
        return dict(edge=self.options.edge)

    def policies(self) -> dict[str, str]:
        """Return the policies with that at the edge; see the base class."""
        return dict(super().policies(), boxes_across_the_edge=self.options.edge)

    def check_images(self, visible: np.ndarray, infrared: np.ndarray) -> Iterator[tuple[str, str]]:
        """See whether the border is there where the size speaks of one; see the base class."""
        size = visible.shape[1::-1]
        padded = size == self.sizes[1]
        white = [_ring_is_white(image, BORDER - 6 if padded else 8) for image in (visible, infrared)]
        if padded and not all(white):
            yield 'border', f'{size[0]}x{size[1]} pixels but no white border'
        if not padded and any(white):
            yield 'border', f'{size[0]}x{size[1]} pixels but a white border'


def _ring_is_white(image: np.ndarray, depth: int) -> bool:
    sides = (image[:depth], image[-depth:], image[:, :depth], image[:, -depth:])
    return min(float(s.mean()) for s in sides) >= WHITE


def _above(path: str | None) -> str | None:
    """Return a path below which ``train/trainimg/`` of all splits can be told apart."""
    if path is None:
        return None
    folder = posixpath.dirname(path)
    parent, name = posixpath.split(folder)
    split = _FOLDER.fullmatch(name)[1].lower()
    top = posixpath.dirname(parent) if posixpath.basename(parent).lower() == split else parent
    return f'{top}/x' if top else 'x'


def _number(pair: Pair) -> int:
    stem = posixpath.basename(pair.key)
    return int(stem) if stem.isdigit() and len(stem) < 10 else 0
