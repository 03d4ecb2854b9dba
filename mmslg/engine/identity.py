"""What makes two runs the same: every setting of the config, and the data that it names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size

from mmslg.engine.data_files import data_hashes
from mmslg.errors import InputError
from mmslg.utils.io import read_json, write_json


def run_identity(cfg: Config) -> dict[str, Any]:
    """Describe a run before it starts, in plain values.

    Returns:
        ``settings``: every setting by its dotted name, overrides and seed included. ``files``: SHA-256 of
        each annotation file and caption store that the datasets name, by path; None where there is none.
        ``processes``: how many take part.
    """
    return {'settings': flat_settings(cfg), 'files': data_hashes(cfg), 'processes': get_world_size()}


def flat_settings(cfg: Config) -> dict[str, str]:
    """Return every setting, written out, by its dotted name."""
    return dict(_flat(cfg.to_dict()))


def claim(folder: str | os.PathLike, identity: dict[str, Any], option: str = '--work-dir') -> None:
    """Write down whose folder this is before a run starts in it, as ``identity.json``.

    Args:
        folder: The folder.
        identity: What :func:`run_identity` returned, or the like.
        option: What gave the folder, for the message.

    Raises:
        InputError: It is the folder of another run; the line names what differs.
    """
    file = Path(folder) / 'identity.json'
    if file.is_file():
        found = difference(read_json(file), identity)
        if found:
            raise InputError(f'{folder}: holds another run ({found}); choose another {option}')
    elif Path(folder).is_dir() and any(Path(folder).iterdir()):
        raise InputError(f'{folder}: holds a run that has not said which; choose another {option}')
    else:
        write_json(file, identity, indent=1)


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Name the first things in which two identities differ, ``''`` if there are none."""
    return in_short(differences(before, now).values())


def differences(before: dict[str, Any], now: dict[str, Any]) -> dict[str, str]:
    """Return what there is to say of each setting and file in which two identities differ, by its name."""
    old, new = before['settings'], now['settings']
    found = {
        key: f'{key} was {old.get(key, "not set")!s:.60} and is {new.get(key, "not set")!s:.60}'
        for key in [*old, *(key for key in new if key not in old)]
        if old.get(key) != new.get(key)
    }
    for path, digest in now['files'].items():
        if before['files'].get(path, digest) != digest:
            found[path] = f'{path} has another content'
    number, wanted = now.get('processes'), before.get('processes', now.get('processes'))
    if number != wanted:
        found['processes'] = f'there were {wanted} processes and are {number}'
    return found


def in_short(sentences: Iterable[str]) -> str:
    """Return the first three in one line, and how many more there are."""
    found = list(sentences)
    return '; '.join(found[:3]) + (f' and {len(found) - 3} more' if len(found) > 3 else '')


def _flat(node: Any, path: str = '') -> Iterator[tuple[str, str]]:
    if isinstance(node, (dict, list, tuple)) and node:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _flat(value, f'{path}.{key}' if path else str(key))
    else:
        yield path, repr(node)
