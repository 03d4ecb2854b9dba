"""Which pair belongs to which split: by lists or by folders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mmslg.conversion.layout import MAX_LIST_BYTES, SPLITS, stem_of
from mmslg.conversion.pairs.pairing import Paired
from mmslg.conversion.pairs.places import SPLIT_WORDS, Identity
from mmslg.errors import InputError
from mmslg.utils.io import read_text
from mmslg.utils.safe_text import shorten


@dataclass
class Splits:
    """Pairs by split.

    Args:
        pairs: Identities by split, in the order of SPLITS.
        description: Where the splits come from, for people.
        lists: List files that were read.
        unknown: Entries of lists that name no image, by split.
    """

    pairs: dict[str, list[Identity]]
    description: str
    lists: list[str] = field(default_factory=list)
    unknown: dict[str, list[str]] = field(default_factory=dict)


class PairFinder:
    """Finds the pair that the name of an image means, whatever folders the name begins with.

    Args:
        paired: The images.
    """

    def __init__(self, paired: Paired) -> None:
        self._by_stem: dict[str, list[tuple[Identity, list[str]]]] = {}
        for identity, sides in paired.pairs.items():
            for path in {*(s.path for s in sides if s), identity[1]}:
                folders = path.split('/')[:-1]
                self._by_stem.setdefault(stem_of(path), []).append((identity, folders[::-1]))

    def find(self, name: str, where: object, split: str | None = None) -> Identity | None:
        """Return the pair, None if there is none.

        Args:
            name: Path or name of one of the images, with or without ending.
            where: File that the name stands in, for the message.
            split: Where several pairs fit, the one in this split's folder is meant.

        Raises:
            InputError: Several pairs fit.
        """
        parts = [p for p in name.strip().replace('\\', '/').split('/') if p not in ('', '.', '..')]
        if not parts:
            return None
        wanted = parts[-2::-1] if len(parts) > 1 else []
        best, found = -1, set()
        for stem in dict.fromkeys((stem_of(parts[-1]), parts[-1])):
            for identity, folders in self._by_stem.get(stem, ()):
                score = next((i for i, (a, b) in enumerate(zip(wanted, folders)) if a != b), None)
                score = min(len(wanted), len(folders)) if score is None else score
                if score > best:
                    best, found = score, set()
                if score == best:
                    found.add(identity)
        if len(found) > 1:
            found = {i for i in found if i[0] == split} or found
        if len(found) > 1:
            some = ' and '.join(sorted('/'.join(filter(None, i)) for i in found)[:2])
            raise InputError(f'{where}: {shorten(name, 80)} may mean {some}; write more of the path')
        return next(iter(found), None)


def find_splits(root: Path, files: list[str], paired: Paired, settings: list[dict]) -> Splits:
    """Say which pairs belong to which split.

    Lists that a ``data.yaml`` names count first, then names of folders (``train``, ``val``, ``test``), then
    the folders that a ``data.yaml`` names, then lists called ``train.txt`` and so on. Without any of them
    all pairs are ``train``.

    Args:
        root: The dataset's folder.
        files: Its files.
        paired: The images.
        settings: Fields of each ``data.yaml``.

    Raises:
        InputError: A list cannot be used.
    """
    named, remarks = _named(files, settings)
    lists = {s: found for s, paths in named.items() if (found := [p for p in paths if _is_text(p)])}
    folders = {s: found for s, paths in named.items() if (found := [p for p in paths if not _is_text(p)])}
    by_name: dict[str, list[str]] = {}
    for path in files:
        if _is_text(path) and stem_of(path).lower() in SPLIT_WORDS and stem_of(path) not in paired.keys:
            by_name.setdefault(SPLIT_WORDS[stem_of(path).lower()], []).append(path)
    by_folder = {s: [i for i in paired.pairs if i[0] == s] for s in SPLITS}
    by_yaml = {s: [i for i in paired.pairs if _below(i, paired, folders.get(s, ()))] for s in SPLITS}
    if 'train' in lists or ('train' in by_name and not any(by_folder.values()) and len(folders) < 2):
        repeated = [p for paths in by_name.values() if len(paths) > 1 for p in paths]
        if 'train' not in lists and repeated:
            raise InputError(
                f'{root}: {" and ".join(repeated[:2])} are lists of one split; leave one of them'
            )
        result = _by_lists(root, lists if 'train' in lists else by_name, paired)
    elif any(by_folder.values()):
        result = Splits(_filled(by_folder), 'splits by folders')
        if by_name:
            remarks.append(f'{", ".join(p for paths in by_name.values() for p in paths)} not used')
    elif len(_filled(by_yaml)) > 1:
        result = Splits(_filled(by_yaml), 'splits by the folders that the YAML file names')
    else:
        result = Splits(dict(train=list(paired.pairs)), 'one set')
    rest = len(paired.pairs) - len({i for identities in result.pairs.values() for i in identities})
    if rest:
        remarks.append(f'{rest} pairs in none of them are left out')
    result.description = '; '.join([result.description, *remarks])
    return result


def _named(files: list[str], settings: list[dict]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the lists and folders that YAML files name for each split, and what was not taken.

    Where two splits are one and the same (``val`` given as ``train``), the first one counts.
    """
    named: dict[str, list[str]] = {}
    remarks = []
    for data in settings:
        for split in SPLITS:
            value = data.get(split)
            for entry in value if isinstance(value, list) else [value]:
                path = _existing(entry, files) if isinstance(entry, str) else None
                if path is not None and path not in named.setdefault(split, []):
                    named[split].append(path)
                elif path is None and isinstance(entry, str):
                    remarks.append(f'{split} {shorten(entry)} of the YAML file is not here')
    distinct: dict[str, list[str]] = {}
    for split in (s for s in SPLITS if named.get(s)):
        same = next((s for s, paths in distinct.items() if paths == named[split]), None)
        if same is None:
            distinct[split] = named[split]
        else:
            remarks.append(f'{split} is the same as {same} in the YAML file and is not written')
    return distinct, list(dict.fromkeys(remarks))


def _existing(entry: str, files: list[str]) -> str | None:
    """Return the file or folder that a path of another machine means: the longest end of it that exists."""
    parts = [p for p in entry.strip().replace('\\', '/').split('/') if p not in ('', '.', '..')]
    for start in range(len(parts)):
        tail = '/'.join(parts[start:])
        for path in files:
            if path == tail or path.endswith(f'/{tail}'):
                return path
            at = f'/{path}'.find(f'/{tail}/')
            if at >= 0:
                return path[: at + len(tail)]
    return None


def _by_lists(root: Path, lists: dict[str, list[str]], paired: Paired) -> Splits:
    finder = PairFinder(paired)
    result = Splits({}, '', sorted({p for paths in lists.values() for p in paths}))
    for split in (s for s in SPLITS if s in lists):
        identities: dict[Identity, None] = {}
        for path in lists[split]:
            for line in read_text(root / path, MAX_LIST_BYTES).splitlines():
                if not line.strip():
                    continue
                identity = finder.find(line, root / path, split)
                if identity is None:
                    result.unknown.setdefault(split, []).append(shorten(line.strip(), 80))
                else:
                    identities[identity] = None
        result.pairs[split] = list(identities)
    if not any(result.pairs.values()):
        raise InputError(f'{root}: {", ".join(result.lists)} name none of the images; correct the lists')
    result.description = f'splits by {", ".join(result.lists)}'
    return result


def _filled(found: dict[str, list[Identity]]) -> dict[str, list[Identity]]:
    return {split: identities for split, identities in found.items() if identities}


def _below(identity: Identity, paired: Paired, folders: Iterable[str]) -> bool:
    return any(side and side.path.startswith(f'{f}/') for side in paired.pairs[identity] for f in folders)


def _is_text(path: str) -> bool:
    return path.lower().endswith('.txt')
