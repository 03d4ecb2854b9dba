"""What makes two runs the same: every setting of the config, and the data that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size

from mmslg.engine.data_files import data_hashes, file_hash
from mmslg.errors import InputError
from mmslg.utils.io import read_json, write_json

_DETECTING = re.compile(r'model\.|test_dataloader\.dataset\.(.+\.)?(pipeline|metainfo|caption_variant)\b')
"""Settings that detections depend on."""
_UNFINISHED = '.identity-part-'
"""How the file's name begins while another process writes it, or if one was killed there."""


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


def detection_identity(
    cfg: Config, checkpoint: str, captions: str | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe what detections depend on beside the pairs, in plain values.

    Args:
        cfg: The config, of which model, pipeline of the test and classes count.
        checkpoint: File, which counts by its content.
        captions: Caption store, likewise; None is none.
        options: Options of the tool by their names.

    Returns:
        ``settings`` and ``files``, as of :func:`run_identity`.
    """
    settings = {name: value for name, value in flat_settings(cfg).items() if _DETECTING.match(name)}
    settings |= {name: repr(value) for name, value in options.items()}
    settings['checkpoint SHA-256'] = str(file_hash(checkpoint))
    settings['caption store SHA-256'] = str(captions and file_hash(captions))
    return {'settings': settings, 'files': {}}


def claim(
    folder: str | os.PathLike,
    identity: dict[str, Any],
    option: str = '--work-dir',
    besides: Collection[str] = (),
) -> None:
    """Write down whose folder this is before a run starts in it, as ``identity.json``.

    Of several processes the first one writes it; the others are of the same run, or refused.

    Args:
        folder: The folder.
        identity: What :func:`run_identity` returned, or the like.
        option: What gave the folder, for the message.
        besides: Names in the folder that are of no run.

    Raises:
        InputError: As of :func:`check_folder`.
    """
    if not check_folder(folder, identity, option, besides):
        write_json(_file(folder), identity, new=True, indent=1)
        check_folder(folder, identity, option)


def release(folder: str | os.PathLike) -> None:
    """Give a folder back that was claimed and that holds nothing of the run."""
    _file(folder).unlink(missing_ok=True)


def check_folder(
    folder: str | os.PathLike,
    identity: dict[str, Any],
    option: str = '--work-dir',
    besides: Collection[str] = (),
) -> bool:
    """See that a folder is free or of this run, and write nothing; return whether it was claimed before.

    Args:
        folder: The folder, which need not be there.
        identity: Of this run.
        option: What gave the folder, for the message.
        besides: Names in the folder that are of no run.

    Raises:
        InputError: It is the folder of another run; the line names what differs.
    """
    # Listed before the look for the file: another process writes that first, and then all else.
    names = os.listdir(folder) if Path(folder).is_dir() else []
    if _file(folder).is_file():
        check_same(folder, read_json(_file(folder)), identity, f'choose another {option}')
        return True
    if any(name not in besides and not name.startswith(_UNFINISHED) for name in names):
        raise InputError(f'{folder}: holds a run that has not said which; choose another {option}')
    return False


def _file(folder: str | os.PathLike) -> Path:
    return Path(folder) / 'identity.json'


def check_same(place: str | os.PathLike, before: Any, now: dict[str, Any], advice: str) -> None:
    """See that what is there is of this run.

    Args:
        place: The file or folder.
        before: What it says of its run, read from a file.
        now: Identity of this run.
        advice: What to do if it is another one, for the message.

    Raises:
        InputError: It is of another run, and the line names what differs; or it does not say of which.
    """
    parts = [before.get(part) if isinstance(before, dict) else None for part in ('settings', 'files')]
    if not all(isinstance(part, dict) for part in parts):
        raise InputError(f'{os.fspath(place)}: does not say of which run it is; {advice}')
    found = difference(before, now)
    if found:
        raise InputError(f'{os.fspath(place)}: holds another run ({found}); {advice}')


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
