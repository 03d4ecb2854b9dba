"""Which files of a folder belong together, told by the names of folders and files."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from mmslg.conversion.layout import INFRARED_FOLDERS, VISIBLE_FOLDERS, Pair
from mmslg.errors import InputError

Identity = tuple[str | None, str]
"""Split and key, which the files of a pair share."""
VISIBLE, INFRARED = 'visible', 'infrared'
SPLIT_WORDS = {
    **dict.fromkeys(('train', 'training'), 'train'),
    **dict.fromkeys(('val', 'valid', 'validation'), 'val'),
    **dict.fromkeys(('test', 'testing'), 'test'),
}
MODALITY_WORDS = {
    **dict.fromkeys(VISIBLE_FOLDERS, VISIBLE),
    **dict.fromkeys(INFRARED_FOLDERS, INFRARED),
}
CONTENT_WORDS = {
    **dict.fromkeys(('images', 'imgs', 'jpegimages'), 'images'),
    **dict.fromkeys(('image', 'img'), 'image'),
    **dict.fromkeys(('labels', 'label', 'annotations', 'annotation', 'anns', 'labeltxt'), 'labels'),
    **dict.fromkeys(('obb', 'hbb', 'xml', 'xmls', 'txt', 'txts'), 'form'),
}
SUFFIX_WORDS = {**MODALITY_WORDS, 'co': VISIBLE, 't': INFRARED, 'previewdata': INFRARED}
_FOLDER_WORDS = {**SPLIT_WORDS, **MODALITY_WORDS, **CONTENT_WORDS}
_SUFFIX = re.compile(r'(.+)[_\-. ]([a-z]+)', re.I)
_TOKEN = re.compile(r'[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^A-Za-z_\-. ]+')
_YEAR = re.compile(r'20\d\d')
EXPECTED = (
    'wanted folders such as images/ and imagesIR/, images/ and image/, visible/ and infrared/, rgb/ and ir/, '
    'or names that end in _RGB and _IR'
)


@dataclass(frozen=True)
class Place:
    """What the names along a path say.

    Args:
        path: Below the dataset's folder, with ``/``.
        split: ``train``, ``val``, ``test`` or None.
        modality: ``visible``, ``infrared`` or None.
        key: The rest: folders of no special name and the file's name without its ending.
        words: Further special words among the folders: ``images``, ``image``, ``labels``, ``obb``.
    """

    path: str
    split: str | None
    modality: str | None
    key: str
    words: frozenset[str] = frozenset()

    @property
    def folder(self) -> str:
        """Folder of the file, empty for the dataset's own."""
        return posixpath.dirname(self.path)

    @property
    def identity(self) -> Identity:
        """What the files of a pair share."""
        return self.split, self.key


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


def place_of(path: str, roles: dict[str, str | None] | None = None) -> Place:
    """Read the names along a path.

    A folder counts as special if it consists of known words only, such as ``imagesIR`` or ``train_rgb``; of
    several words of one kind the deepest counts. The modality may also be the end of the file's name.

    Args:
        path: Below the dataset's folder, with ``/``.
        roles: Folder names in lower case with the modality that they mean here, None for neither.
    """
    folders, name = posixpath.split(path)
    split = modality = None
    rest, words = [], set()
    for folder in folders.split('/') if folders else ():
        if roles and folder.lower() in roles:
            modality = roles[folder.lower()] or modality
            continue
        known = _words(folder)
        if known is None:
            rest.append(folder)
        for word in known or ():
            split = SPLIT_WORDS.get(word, split)
            modality = MODALITY_WORDS.get(word, modality)
            words.update({CONTENT_WORDS.get(word), word} & {'images', 'image', 'labels', 'obb'})
    stem = posixpath.splitext(name)[0]
    base, ending = split_ending(stem)
    if modality is None and ending:
        modality, stem = ending, base
    return Place(path, split, modality, '/'.join([*rest, stem]), frozenset(words))


def split_ending(stem: str) -> tuple[str, str | None]:
    """Return a name without the modality at its end, and that modality if there is one."""
    match = _SUFFIX.fullmatch(stem)
    modality = SUFFIX_WORDS.get(match[2].lower()) if match else None
    return (match[1], modality) if modality else (stem, None)


@lru_cache(maxsize=4096)
def _words(folder: str) -> tuple[str, ...] | None:
    """Return the known words that make up a folder's name, None if there is anything else in it."""
    words: list[str] = []
    for token in _TOKEN.findall(folder) if folder.lower() not in _FOLDER_WORDS else (folder,):
        known = next(_segment(token.lower()), None)
        if known is None and not _YEAR.fullmatch(token):
            return None
        words += known or ()
    contradiction = any(
        len({group[w] for w in words if w in group}) > 1 for group in (SPLIT_WORDS, MODALITY_WORDS)
    )
    return None if contradiction else tuple(words) or None


def _segment(token: str) -> Iterator[tuple[str, ...]]:
    if token in _FOLDER_WORDS:
        yield (token,)
    for end in range(len(token) - 1, 1, -1):
        if token[:end] in _FOLDER_WORDS and token[end:] in _FOLDER_WORDS:
            yield token[:end], token[end:]


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
        **dict.fromkeys(shared - set(_FOLDER_WORDS)),
        **dict.fromkeys(parts[0] - shared, VISIBLE),
        **dict.fromkeys(parts[1] - shared, INFRARED),
    }


def pair_images(root: object, paths: Iterable[str], chosen: tuple[str, str] | None = None) -> Paired:
    """Pair the images of a folder.

    Args:
        root: The dataset's folder, for messages.
        paths: Images below it.
        chosen: Folders of the visible and the infrared images below it, where the user named them.

    Raises:
        InputError: The names do not tell visible from infrared images, or no two images share a name.
    """
    roles = chosen_roles(*chosen) if chosen else {}
    if chosen:
        places = _places_below(root, paths, chosen, roles)
    else:
        places = _tell_apart(root, [place_of(p) for p in paths])
    sides = ([], [])
    unused = [p.path for p in places if p.modality is None]
    for place in places:
        if place.modality:
            sides[place.modality == INFRARED].append(place)
    by_identity = tuple(_first(side, unused) for side in sides)
    _match_endings(*by_identity)
    identities = sorted(set(by_identity[0]) | set(by_identity[1]), key=lambda i: (i[0] or '', i[1]))
    pairs = {i: (by_identity[0].get(i), by_identity[1].get(i)) for i in identities}
    if not any(all(pair) for pair in pairs.values()):
        some = [side[0].path if side else 'none' for side in sides]
        raise InputError(
            f'{root}: no visible and infrared image share a name: there are {len(sides[0])} visible '
            f'({some[0]}) and {len(sides[1])} infrared images ({some[1]})'
        )
    folders = tuple(tuple(_tops(side)) for side in sides)
    return Paired(pairs, folders, unused, roles)


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


def _tell_apart(root: object, places: list[Place]) -> list[Place]:
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
        f'{root}: nothing tells which images are {lacking}: {EXPECTED}; name the folders by --visible DIR '
        f'--infrared DIR. Folders with images: {shown}'
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
