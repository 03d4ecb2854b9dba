"""What the names of folders and files say: split, modality, and what the files of a pair share."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from mmslg.conversion.layout import INFRARED_FOLDERS, VISIBLE_FOLDERS

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
    **dict.fromkeys((*INFRARED_FOLDERS, 'imgr'), INFRARED),
}
CONTENT_WORDS = {
    **dict.fromkeys(('images', 'imgs', 'jpegimages'), 'images'),
    **dict.fromkeys(('image', 'img'), 'image'),
    **dict.fromkeys(('labels', 'label', 'annotations', 'annotation', 'anns', 'labeltxt'), 'labels'),
    **dict.fromkeys(('obb', 'hbb', 'xml', 'xmls', 'txt', 'txts'), 'form'),
}
SUFFIX_WORDS = {**MODALITY_WORDS, 'co': VISIBLE, 't': INFRARED, 'previewdata': INFRARED}
FOLDER_WORDS = {**SPLIT_WORDS, **MODALITY_WORDS, **CONTENT_WORDS}
_SUFFIX = re.compile(r'(.+)[_\-. ]([a-z]+)', re.I)
_PREFIX = re.compile(r'([a-z]+)[_\-. ](.+)', re.I)
_INNER_SUFFIX = re.compile(r'\.(jpe?g|png|bmp|tiff?)$', re.I)
_TOKEN = re.compile(r'[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^A-Za-z_\-. ]+')
_YEAR = re.compile(r'20\d\d')


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


def place_of(path: str, roles: dict[str, str | None] | None = None) -> Place:
    """Read the names along a path.

    A folder counts as special if it consists of known words only, such as ``imagesIR`` or ``train_rgb``; of
    several words of one kind the deepest counts. The modality may also be the end or the start of the file's
    name.

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
    """Return a name without the modality at its end or start, and that modality if there is one."""
    match = _SUFFIX.fullmatch(stem)
    modality = SUFFIX_WORDS.get(match[2].lower()) if match else None
    if modality:
        return _INNER_SUFFIX.sub('', match[1]), modality  # FLIR_00258.jpeg_RGB.jpg
    match = _PREFIX.fullmatch(stem)
    modality = MODALITY_WORDS.get(match[1].lower()) if match else None
    return (match[2], modality) if modality else (stem, None)


@lru_cache(maxsize=4096)
def _words(folder: str) -> tuple[str, ...] | None:
    """Return the known words that make up a folder's name, None if there is anything else in it."""
    words: list[str] = []
    for token in _TOKEN.findall(folder) if folder.lower() not in FOLDER_WORDS else (folder,):
        known = next(_segment(token.lower()), None)
        if known is None and not _YEAR.fullmatch(token):
            return None
        words += known or ()
    contradiction = any(
        len({group[w] for w in words if w in group}) > 1 for group in (SPLIT_WORDS, MODALITY_WORDS)
    )
    return None if contradiction else tuple(words) or None


def _segment(token: str) -> Iterator[tuple[str, ...]]:
    if token in FOLDER_WORDS:
        yield (token,)
    for end in range(len(token) - 1, 1, -1):
        if token[:end] in FOLDER_WORDS and token[end:] in FOLDER_WORDS:
            yield token[:end], token[end:]
