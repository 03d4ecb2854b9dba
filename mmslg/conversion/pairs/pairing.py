"""Which files of a folder belong together, told by the names of folders and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from mmslg.conversion.layout import Pair
from mmslg.conversion.pairs.places import (
    FOLDER_WORDS,
    INFRARED,
    SPLIT_WORDS,
    VISIBLE,
    Identity,
    Place,
    place_of,
    split_ending,
)
from mmslg.errors import InputError

EXPECTED = (
    'wanted folders such as images/ and imagesIR/, images/ and image/, visible/ and infrared/, rgb/ and ir/, '
    'or names that end in _RGB and _IR'
)
ADVICE = 'name the folders by --visible DIR --infrared DIR'


@dataclass
class Paired:
    """The images of a folder in pairs.

    Args:
        pairs: Visible and infrared image by (split, key); one of them may be None.
        folders: Folders of the visible and of the infrared images, without those of the splits.
        unused: Images of no pair.
        roles: What folder names mean, where the user said it; for :func:`place_of`.
    """

    pairs: dict[Identity, tuple[Place | None, Place | None]]
    folders: tuple[tuple[str, ...], tuple[str, ...]]
    unused: list[str]
    roles: dict[str, str | None]

    def pair(self, identity: Identity, label: str | None) -> Pair:
        """Return the files of a pair with its label file."""
        visible, infrared = (side and side.path for side in self.pairs[identity])
        return Pair('/'.join(filter(None, identity)), visible, infrared, label)

    @cached_property
    def keys(self) -> Counter[str]:
        """Keys of all pairs with the number of splits that have them."""
        return Counter(key for _, key in self.pairs)

    @cached_property
    def modality_of_folder(self) -> dict[str, str | None]:
        """Modality of the images in a folder, None where there are both."""
        found: dict[str, str | None] = {}
        for sides in self.pairs.values():
            for side in filter(None, sides):
                found[side.folder] = (
                    side.modality if found.get(side.folder, side.modality) == side.modality else None
                )
        return found


def chosen_roles(visible: str, infrared: str) -> dict[str, str | None]:
    """Return what folder names mean if the user named two folders, for :func:`place_of`.

    Raises:
        InputError: The two are the same, or differ in their order only.
    """
    parts = [
        {p.lower() for p in folder.split('/') if p and p.lower() not in SPLIT_WORDS}
        for folder in (visible, infrared)
    ]
    if parts[0] == parts[1]:
        raise InputError(f'--visible {visible} and --infrared {infrared}: their names do not differ')
    shared = parts[0] & parts[1]
    return {
        **dict.fromkeys(shared - set(FOLDER_WORDS)),
        **dict.fromkeys(parts[0] - shared, VISIBLE),
        **dict.fromkeys(parts[1] - shared, INFRARED),
    }


def pair_images(
    root: object, paths: Iterable[str], chosen: tuple[str, str] | None = None, advice: str = ADVICE
) -> Paired:
    """Pair the images of a folder.

    Args:
        root: The dataset's folder, for messages.
        paths: Images below it.
        chosen: Folders of the visible and the infrared images below it, where the user named them.
        advice: How to name them, for messages.

    Raises:
        InputError: The names do not tell visible from infrared images, or no two images share a name.
    """
    roles = chosen_roles(*chosen) if chosen else {}
    if chosen:
        places = _places_below(root, paths, chosen, roles)
    else:
        places = _tell_apart(root, [place_of(p) for p in paths], advice)
    sides = ([], [])
    unused = [p.path for p in places if p.modality is None]
    for place in places:
        if place.modality:
            sides[place.modality == INFRARED].append(place)
    pairs = match_sides(root, *sides, unused)
    folders = tuple(tuple(_tops(side)) for side in sides)
    return Paired(pairs, folders, unused, roles)


def match_sides(
    root: object, visible: list[Place], infrared: list[Place], unused: list[str], by_rest: bool = False
) -> dict[Identity, tuple[Place | None, Place | None]]:
    """Match the visible and the infrared images by what their names share.

    Args:
        root: Where they lie, for messages.
        visible: Visible images.
        infrared: Infrared images.
        unused: Gets the images whose name is taken already.
        by_rest: Where no two names match, match what is left of them without what all names of a side begin
            and end with (``cam0_0001``, ``cam1_0001``). Labels, which have one name, are not found then.

    Returns:
        Visible and infrared image by (split, key), sorted; one of them may be None.

    Raises:
        InputError: No two images share a name.
    """
    by_identity = _first(visible, unused), _first(infrared, unused)
    _match_endings(*by_identity)
    if by_rest and not set(by_identity[0]) & set(by_identity[1]):
        by_identity = tuple(_without_common_ends(side) for side in by_identity)
    if not set(by_identity[0]) & set(by_identity[1]):
        some = [side[0].path if side else 'none' for side in (visible, infrared)]
        raise InputError(
            f'{root}: no visible and infrared image share a name: there are {len(visible)} visible '
            f'({some[0]}) and {len(infrared)} infrared images ({some[1]})'
        )
    identities = sorted(set(by_identity[0]) | set(by_identity[1]), key=lambda i: (i[0] or '', i[1]))
    return {i: (by_identity[0].get(i), by_identity[1].get(i)) for i in identities}


def _without_common_ends(side: dict[Identity, Place]) -> dict[Identity, Place]:
    """Take away what all names begin and end with, up to whole numbers."""
    keys = [key for _, key in side]
    if len(keys) < 2:
        return side
    start = _common_start(keys).rstrip('0123456789')
    end = _common_start([key[len(start) :][::-1] for key in keys])[::-1].lstrip('0123456789')
    return {(split, key[len(start) : len(key) - len(end)]): place for (split, key), place in side.items()}


def _common_start(texts: list[str]) -> str:
    first, last = min(texts), max(texts)
    return first[: next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), len(first))]


def _places_below(
    root: object, paths: Iterable[str], chosen: tuple[str, str], roles: dict[str, str | None]
) -> list[Place]:
    visible, infrared = chosen
    places = []
    for path in paths:
        sides = [f for f in chosen if f in ('', '.') or path.startswith(f'{f}/')]
        if sides:
            side = max(sides, key=len)
            modality = VISIBLE if side == visible else INFRARED
            places.append(replace(place_of(path, roles), modality=modality))
    for folder, modality in ((visible, VISIBLE), (infrared, INFRARED)):
        if not any(p.modality == modality for p in places):
            raise InputError(f'{root}: there are no images below {folder or "."}, given as --{modality}')
    return places


def _tell_apart(root: object, places: list[Place], advice: str) -> list[Place]:
    """Give a modality to images in ``images/`` that stand beside infrared ones, by convention."""
    open_ones = [p for p in places if p.modality is None]
    infrared = {p.identity for p in places if p.modality == INFRARED}
    visible = {p.identity for p in places if p.modality == VISIBLE}
    plain = {p.identity for p in open_ones if 'images' in p.words}
    single = {p.identity for p in open_ones if 'image' in p.words}
    if infrared and not visible:
        folders = {p.folder for p in open_ones if p.identity in infrared}
        folders |= {p.folder for p in open_ones if p.words & {'images', 'image'}}
        told = {p.path: VISIBLE for p in open_ones if p.folder in folders}
    elif not infrared and not visible and plain & single:
        told = {p.path: VISIBLE if 'images' in p.words else INFRARED for p in open_ones if p.words}
    else:
        told = {}
    result = [replace(p, modality=p.modality or told.get(p.path)) for p in places]
    if {VISIBLE, INFRARED} <= {p.modality for p in result}:
        return result
    folders = Counter(p.folder or '.' for p in places)
    shown = ', '.join(f'{f} ({n})' for f, n in sorted(folders.items())[:6]) or 'none'
    lacking = INFRARED if any(p.modality == VISIBLE for p in result) else VISIBLE
    raise InputError(
        f'{root}: nothing tells which images are {lacking}: {EXPECTED}; {advice}. '
        f'Folders with images: {shown}'
    )


def _first(places: list[Place], unused: list[str]) -> dict[Identity, Place]:
    found: dict[Identity, Place] = {}
    for place in places:
        if found.setdefault(place.identity, place) is not place:
            unused.append(place.path)
    return found


def _match_endings(visible: dict, infrared: dict) -> None:
    """Pair images whose folders tell the modality and whose names end in it as well."""
    for mine, other, modality in ((visible, infrared, VISIBLE), (infrared, visible, INFRARED)):
        for identity in [i for i in mine if i not in other]:
            base, ending = split_ending(identity[1])
            if ending == modality and (identity[0], base) not in mine:
                mine[identity[0], base] = mine.pop(identity)


def _tops(places: list[Place]) -> list[str]:
    """Return the folders of images without those of the splits, for people."""
    return sorted(
        {'/'.join(f for f in p.folder.split('/') if f.lower() not in SPLIT_WORDS) or '.' for p in places}
    )
