"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmslg.errors import InputError


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is renamed to ``path``.

    If the body raises, the temporary file is removed and ``path`` stays as it was. The parent
    folder is made. The temporary name keeps the suffix, since image writers choose by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f'.{path.stem}-', suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, data: Any, **kwargs: Any) -> None:
    """Write ``data`` as JSON to ``path``, whole or not at all; keywords go to ``json.dumps``."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(data, **kwargs) + '\n', encoding='utf-8')


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file.

    Raises:
        InputError: The file is missing, empty or not JSON; the message names it.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding='utf-8')
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: not UTF-8 text ({error.reason})') from None
    if not text.strip():
        raise InputError(f'{path}: the file is empty')
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of more digits than Python reads
        raise InputError(f'{path}: not valid JSON ({error})') from None
