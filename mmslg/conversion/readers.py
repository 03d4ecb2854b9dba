"""The datasets by name: every reader in this package."""

from __future__ import annotations

import importlib
import pkgutil

from mmslg import conversion
from mmslg.conversion.base import DatasetReader


def find_readers() -> dict[str, type[DatasetReader]]:
    """Return the readers that the modules of this package define, by name."""
    readers = {}
    for module in pkgutil.iter_modules(conversion.__path__, f'{conversion.__name__}.'):
        for item in vars(importlib.import_module(module.name)).values():
            if isinstance(item, type) and issubclass(item, DatasetReader) and item is not DatasetReader:
                readers[item.name] = item
    return dict(sorted(readers.items()))


def make_reader(name: str, **options: object) -> DatasetReader:
    """Return the reader of a dataset, such as ``flir``."""
    return find_readers()[name](**options)
