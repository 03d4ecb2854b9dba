"""The files that the datasets of a config name, and what they hold."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config


def data_hashes(cfg: Config) -> dict[str, str | None]:
    """Return the SHA-256 of each annotation file and caption store by path; None where there is no file."""
    return {path: file_hash(path) for path in data_files(cfg)}


def data_files(cfg: Config) -> list[str]:
    """Return the annotation files and caption stores that a config names, whether they are there or not."""
    datasets = [(cfg.get(f'{split}_dataloader') or {}).get('dataset') for split in ('train', 'val', 'test')]
    return sorted(set(_files(datasets)))


def file_hash(path: str | os.PathLike) -> str | None:
    """Return the SHA-256 of a file, None if there is none."""
    if not Path(path).is_file():
        return None
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _files(node: Any) -> Iterator[str]:
    """Yield the annotation files and caption stores within the configs of datasets."""
    if isinstance(node, dict):
        for key in ('ann_file', 'caption_store'):
            names = node.get(key)
            for name in names if isinstance(names, (list, tuple)) else [names]:
                if name and isinstance(name, str):
                    yield os.path.join(node.get('data_root') or '', name)
    if isinstance(node, (dict, list, tuple)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _files(child)
