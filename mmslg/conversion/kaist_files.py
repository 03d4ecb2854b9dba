"""Which files of a folder are images, labels and lists of KAIST."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path

from mmslg.conversion.layout import is_image
from mmslg.errors import InputError
from mmslg.utils.safe_text import read_text, shorten

_FRAME = re.compile(
    r'(?P<folder>(?:[^/]+/)*?)(?P<set>set\d\d)[/_](?P<video>V\d{3})[/_]'
    r'(?:(?P<modality>visible|lwir)/)?(?P<image>I\d{5})(?:_(?P<suffix>visible|lwir))?\.(?P<kind>\w+)'
)
_MODALITIES = {'visible': 'visible', 'rgb': 'visible', 'color': 'visible', 'lwir': 'lwir', 'thermal': 'lwir'}
_MAX_LIST_BYTES = 10_000_000


@dataclass(frozen=True, order=True)
class Frame:
    """A frame by its set, video and image: ``set06``, ``V000``, ``I00019``."""

    set: str
    video: str
    image: str

    @property
    def set_number(self) -> int:
        """Number of the set; from 6 on they are test sets."""
        return int(self.set[3:])

    @property
    def number(self) -> int:
        """Number of the frame in its video."""
        return int(self.image[1:])

    @property
    def folder(self) -> str:
        """``set06/V000``."""
        return f'{self.set}/{self.video}'

    @property
    def flat(self) -> str:
        """``set06_V000_I00019``."""
        return f'{self.set}_{self.video}_{self.image}'


@dataclass
class LabelSet:
    """Label files of one kind below one folder.

    Args:
        kind: ``improved`` (flat txt), ``paired`` (one txt for each modality), ``nested`` (one txt in a
            folder of its video) or ``xml``.
        folder: Folder below the dataset's.
        frames: Files of each frame, by modality; '' where one file is for both images.
    """

    kind: str
    folder: str
    frames: dict[Frame, dict[str, str]] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The kind in words."""
        return dict(
            improved='flat bbGt txt (improved labels)',
            paired='paired bbGt txt, one for each modality',
            nested='bbGt txt by video (original or sanitized labels)',
            xml='XML labels',
        )[self.kind]


def find_images(files: list[str]) -> dict[Frame, dict[str, str]]:
    """Return the images of each frame by modality, ``visible`` or ``lwir``."""
    images: dict[Frame, dict[str, str]] = {}
    for path in filter(is_image, files):
        match = _FRAME.fullmatch(path)
        modality = match and (match['modality'] or match['suffix'] or _of_folder(match['folder']))
        if modality:
            images.setdefault(_frame(match), {}).setdefault(modality, path)
    return images


def find_labels(files: list[str]) -> list[LabelSet]:
    """Return the sets of label files that a folder holds."""
    sets: dict[tuple[str, str], LabelSet] = {}
    for path in files:
        match = _FRAME.fullmatch(path) if path.lower().endswith(('.txt', '.xml')) else None
        if match is None:
            continue
        modality = match['modality'] or match['suffix'] or _of_folder(match['folder']) or ''
        flat = f'{match["set"]}_' in posixpath.basename(path)
        folder = match['folder'].rstrip('/')
        if flat and _of_folder(match['folder']):
            folder = posixpath.dirname(folder)
        xml = match['kind'].lower() == 'xml'
        kind = 'xml' if xml else 'paired' if modality else 'improved' if flat else 'nested'
        labels = sets.setdefault((kind, folder), LabelSet(kind, folder))
        labels.frames.setdefault(_frame(match), {}).setdefault(modality, path)
    return list(sets.values())


def find_lists(root: Path, files: list[str], wanted: str | None) -> dict[str, list[Frame]]:
    """Return the training lists of a folder, or the one that the user wants.

    Raises:
        InputError: The wanted list is not there, or no list.
    """
    if wanted is not None:
        suited = [p for p in files if p == wanted or posixpath.basename(p) == wanted]
        if len(suited) != 1:
            found = 'is no file' if not suited else 'could be ' + ' or '.join(suited)
            raise InputError(f'--train-list {wanted}: {found} below {root}')
        return {suited[0]: _read_list(root / suited[0], must=True)}
    names = [p for p in files if p.endswith('.txt') and 'train' in posixpath.basename(p).lower()]
    lists = {p: _read_list(root / p, must=False) for p in names}
    return {p: frames for p, frames in lists.items() if frames}


def _read_list(path: Path, must: bool) -> list[Frame]:
    if not must and path.stat().st_size == 0:
        return []
    frames: dict[Frame, None] = {}
    for n, line in enumerate(read_text(path, _MAX_LIST_BYTES).split('\n'), 1):
        entry = line.strip()
        match = re.search(r'(set\d\d)[/_](V\d{3})[/_](?:(?:visible|lwir)/)?(I\d{5})', entry)
        if entry and match is None:
            if not must and not frames:
                return []
            raise InputError(f'{path}: line {n} should name a frame setXX/VYYY/IZZZZZ, got {shorten(entry)}')
        if match:
            frames[Frame(*match.groups())] = None
    return list(frames)


def _frame(match: re.Match) -> Frame:
    return Frame(match['set'], match['video'], match['image'])


def _of_folder(folder: str) -> str | None:
    """Return the modality that one of the folders above a flat file names."""
    return next((_MODALITIES[f] for f in reversed(folder.lower().split('/')) if f in _MODALITIES), None)
