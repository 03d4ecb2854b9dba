"""LLVIP: persons by night, 1280x1024, one VOC file for the two images of a pair."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mmslg.conversion.base import DatasetReader
from mmslg.conversion.layout import Labels, Layout, Pair, is_image, scan
from mmslg.conversion.voc import read_voc_boxes
from mmslg.errors import InputError

_IMAGE = re.compile(r'(?:^|.*/)(visible|infrared)/(train|test)/([^/]+)\.[^./]+', re.I)


class LlvipReader(DatasetReader):
    """Reads ``{visible,infrared}/{train,test}/*.jpg`` and ``Annotations/*.xml``."""

    name = 'llvip'
    title = 'LLVIP: persons by night'
    classes = ('person',)
    aliases = {'pedestrian': 'person', 'people': 'person'}
    sizes = ((1280, 1024),)
    pairs = {'train': 12025, 'test': 3463}
    versions = {
        'corrected (2023-02-21)': {'test': {'person': 8302}},
        'before the correction of 2023-02-21': {'test': {'person': 7931}},
    }
    usual_shift = (-1.4, 3.0)

    def recognise(self, root: Path) -> Layout:
        """Look at a folder; see the base class."""
        files = scan(root)
        images: dict[str, dict[str, dict[str, str]]] = {}
        for path in files:
            match = _IMAGE.fullmatch(path) if is_image(path) else None
            if match:
                modality, split, stem = match[1].lower(), match[2].lower(), match[3]
                images.setdefault(split, {}).setdefault(stem, {}).setdefault(modality, path)
        labels = {posixpath.basename(p)[:-4]: p for p in reversed(files) if p.lower().endswith('.xml')}
        if not images:
            raise InputError(
                f'{root}: no images below visible/{{train,test}}/ and infrared/{{train,test}}/, so this is '
                'no folder of LLVIP; give the folder that holds visible, infrared and Annotations'
            )
        if not labels:
            raise InputError(
                f"{root}: no .xml file, wanted LLVIP's Annotations/ beside visible/ and infrared/"
            )
        some = {m: p for stems in images.values() for s in stems.values() for m, p in s.items()}
        prefixes = tuple(
            some[m].rsplit('/', 2)[0] + '/' if m in some else f'{m}/' for m in ('visible', 'infrared')
        )
        splits = {
            split: [
                Pair(stem, found.get('visible'), found.get('infrared'), labels.get(stem))
                for stem, found in sorted(images[split].items())
            ]
            for split in ('train', 'test')
            if split in images
        }
        folder = posixpath.dirname(next(iter(labels.values()))) or '.'
        layout = Layout(
            root,
            f'LLVIP, official layout: visible/ and infrared/ by split, {len(labels)} XML files in {folder}/',
            prefixes,
            splits,
            'ir',
            dict(layout='official', label_folder=folder),
        )
        stems = {s for split in images.values() for s in split}
        for stem in sorted(set(labels) - stems):
            layout.add_problem('orphan-label', labels[stem])
        layout.find_overlaps()
        return layout

    def read_labels(self, root: Path, pair: Pair) -> Labels:
        """Read the boxes in raw coordinates; see the base class."""
        return read_voc_boxes(root / pair.label)
