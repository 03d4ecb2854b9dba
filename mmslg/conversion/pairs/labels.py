"""Which label files of a folder belong to which pairs, and in which image their boxes were drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mmslg.conversion.pairs.pairing import Paired
from mmslg.conversion.pairs.places import INFRARED, VISIBLE, Identity, Place, split_ending
from mmslg.errors import InputError

OPTION = {VISIBLE: 'rgb', INFRARED: 'ir'}
DRAWN_IN = {'rgb': 'visible', 'ir': 'ir'}
"""``label_modality`` of the annotations by the value of ``--labels``."""
UNTOLD = '; nothing tells in which images they were drawn (--labels ir or rgb says it)'


@dataclass(frozen=True)
class LabelFiles:
    """The label files that were taken.

    Args:
        found: File by (split, key) of its pair.
        modality: ``ir``, ``visible`` or ``unknown``: in which image the boxes were drawn.
        orphans: Files without images.
        description: What was taken and what was not, for people.
    """

    found: dict[Identity, str]
    modality: str
    orphans: list[str]
    description: str


def label_places(places: Iterable[Place], paired: Paired) -> list[Place]:
    """Return the files that are labels: in a folder of labels, or named like an image."""
    return [p for p in places if 'labels' in p.words or _settle(p, paired) in paired.pairs]


def choose_labels(root: object, places: list[Place], paired: Paired, wanted: str | None) -> LabelFiles:
    """Choose among the labels of the visible and of the infrared images.

    Labels whose folders name neither belong to the visible images if other labels' folders do name one.
    Of upright labels and those in a folder ``obb``, the oriented ones are taken.

    Args:
        root: The dataset's folder, for messages.
        places: The label files.
        paired: The images.
        wanted: ``ir``, ``rgb``, or None: infrared where there are both.

    Raises:
        InputError: There are no labels of the wanted image, an image has two label files, or a file fits
            several images.
    """
    groups: dict[str | None, list[Place]] = {}
    for place in places:
        groups.setdefault(place.modality or _neighbours(place, paired), []).append(place)
    if None in groups and len(groups) > 1:
        groups.setdefault(VISIBLE, []).extend(groups.pop(None))
    modality = next((m for m in (INFRARED, VISIBLE, None) if m in groups and OPTION.get(m) == wanted), None)
    if wanted is None:
        modality = next(m for m in (INFRARED, VISIBLE, None) if m in groups)
    elif modality is None and None not in groups:
        there = ' and '.join(sorted(OPTION[m] for m in groups))
        raise InputError(
            f'{root}: there are no labels of the {wanted} images, take those there are: --labels {there}'
        )
    taken, other = groups[modality], [p for m, group in groups.items() if m != modality for p in group]
    found, set_aside = _by_pair(root, taken, paired)
    for (split, key), path in found.items():
        if split is None and (None, key) not in paired.pairs and paired.keys[key] > 1:
            raise InputError(
                f'{root}: {path} may belong to the {key} of {paired.keys[key]} splits; '
                'put the labels in folders by split'
            )
    orphans = [path for identity, path in found.items() if not _has_pair(identity, paired)]
    text = f'{len(found)} label files in {_folders(taken, set_aside)}'
    if set_aside:
        text += f', not the {len(set_aside)} upright ones in {_folders(set_aside)}'
    if other:
        option = OPTION[VISIBLE if modality == INFRARED else INFRARED]
        text += f', not the {len(other)} in {_folders(other)} (--labels {option} takes those)'
    drawn = DRAWN_IN.get(OPTION.get(modality, wanted), 'unknown')
    if drawn == 'unknown':
        text += UNTOLD
    return LabelFiles(found, drawn, sorted(orphans), text)


def label_of(identity: Identity, found: dict[Identity, str]) -> str | None:
    """Return the label file of a pair, whose folder may leave out the split."""
    return found.get(identity) or found.get((None, identity[1]))


def _by_pair(root: object, places: list[Place], paired: Paired) -> tuple[dict[Identity, str], list[Place]]:
    found: dict[Identity, Place] = {}
    set_aside = []
    for place in sorted(places, key=lambda p: 'obb' not in p.words):
        first = found.setdefault(_settle(place, paired), place)
        if 'obb' in first.words and 'obb' not in place.words:
            set_aside.append(place)
        elif first is not place:
            raise InputError(
                f'{root}: {first.path} and {place.path} are labels of one image; leave one of them'
            )
    return {identity: place.path for identity, place in found.items()}, set_aside


def _settle(place: Place, paired: Paired) -> Identity:
    """Return the pair that a label file means, whose name may end in the modality."""
    if _has_pair(place.identity, paired):
        return place.identity
    without = place.split, split_ending(place.key)[0]
    return without if _has_pair(without, paired) else place.identity


def _has_pair(identity: Identity, paired: Paired) -> bool:
    return identity in paired.pairs or (identity[0] is None and identity[1] in paired.keys)


def _neighbours(place: Place, paired: Paired) -> str | None:
    """Return the modality of the images in the folder of a label file, if they are of one."""
    return paired.modality_of_folder.get(place.folder)


def _folders(places: list[Place], without: list[Place] = ()) -> str:
    folders = sorted({p.folder or '.' for p in places if p not in without})
    return ', '.join(folders[:4]) + (', ...' if len(folders) > 4 else '')
