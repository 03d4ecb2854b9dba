"""COCO files of own pairs: one for each split, whose images are found by their names."""

from __future__ import annotations

import posixpath
import re

from mmslg.conversion.coco import parse_coco
from mmslg.conversion.layout import SPLITS, Labels, Layout, Pair
from mmslg.conversion.pairs.forms import CocoLabels
from mmslg.conversion.pairs.labels import DRAWN_IN, OPTION, UNTOLD
from mmslg.conversion.pairs.pairing import Paired
from mmslg.conversion.pairs.places import INFRARED, MODALITY_WORDS, SPLIT_WORDS, VISIBLE, Place
from mmslg.conversion.pairs.splits import PairFinder
from mmslg.errors import InputError
from mmslg.utils.safe_text import shorten


def read_coco_pairs(
    layout: Layout, places: list[Place], paired: Paired, wanted: str | None
) -> tuple[CocoLabels, list[str]]:
    """Fill in the splits of a layout from COCO files.

    Args:
        layout: Gets the splits, the lists and the label modality.
        places: The files.
        paired: The images.
        wanted: ``ir``, ``rgb``, or None: the file of the infrared images where there are both.

    Returns:
        The labels, and what was taken in words.

    Raises:
        InputError: Two files are of one split, or an entry cannot be used.
    """
    root = layout.root
    modality, chosen, aside = _choose(root, places, wanted)
    finder = PairFinder(paired)
    labels: dict[tuple[str, str], Labels] = {}
    classes: list[str] = []
    for split in (s for s in SPLITS if s in chosen):
        path = chosen[split]
        file = parse_coco(root / path, corners=True)
        classes += file.classes
        pairs = []
        for image in file.images:
            identity = next(
                (
                    i
                    for n in (image.visible, image.infrared)
                    if n and (i := finder.find(n, root / path, split))
                ),
                None,
            )
            pair = Pair(image.visible, None, None, path) if identity is None else paired.pair(identity, path)
            if (path, pair.key) in labels:
                raise InputError(
                    f'{root / path}: {shorten(image.visible, 80)} belongs to a pair that is listed already'
                )
            labels[path, pair.key] = image.labels
            pairs.append(pair)
        layout.splits[split] = pairs
    layout.lists = list(chosen.values())
    layout.label_modality = modality
    listed = {p.key for pairs in layout.splits.values() for p in pairs}
    text = ', '.join(f'{path} ({split})' for split, path in chosen.items())
    if aside:
        other = 'rgb' if modality == 'ir' else 'ir'
        text += f', not {", ".join(aside)} (--labels {other} takes those)'
    if modality == 'unknown':
        text += UNTOLD
    texts = [text]
    rest = sum(paired.pair(i, None).key not in listed for i in paired.pairs)
    if rest:
        texts.append(f'{rest} pairs in none of these files are left out')
    return CocoLabels(labels, classes), texts


def _choose(root: object, places: list[Place], wanted: str | None) -> tuple[str, dict[str, str], list[str]]:
    """Return the modality of the labels, the file of each split, and the files that were not taken."""
    groups: dict[str | None, dict[str, str]] = {}
    for place in places:
        words = re.findall(r'[a-z]+', posixpath.basename(place.path).lower())
        modality = place.modality or next((MODALITY_WORDS[w] for w in words if w in MODALITY_WORDS), None)
        split = next((SPLIT_WORDS[w] for w in words if w in SPLIT_WORDS), place.split or 'train')
        first = groups.setdefault(modality, {}).setdefault(split, place.path)
        if first != place.path:
            raise InputError(
                f'{root}: {first} and {place.path} are both {split} annotations; leave one in the folder'
            )
    order = [m for m in (INFRARED, VISIBLE, None) if m in groups]
    fitting = [m for m in order if wanted is None or OPTION.get(m) == wanted] or [
        m for m in order if m is None
    ]
    if not fitting:
        raise InputError(
            f'{root}: there are no labels of the {wanted} images, only {", ".join(groups[order[0]].values())}'
        )
    taken = fitting[0]
    aside = [path for m in order if m != taken for path in groups[m].values()]
    drawn = DRAWN_IN.get(OPTION.get(taken, wanted), 'unknown')
    return drawn, {s: groups[taken][s] for s in SPLITS if s in groups[taken]}, aside
