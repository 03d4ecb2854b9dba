"""Files that are read as wanted or named, and written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmslg.errors import InputError
from mmslg.utils.os_errors import explain, explained


def check_writable(path: str | os.PathLike) -> Path:
    """Return ``path`` if a file of this name can be written, as far as a look tells; nothing is made.

    Raises:
        InputError: It is empty, a folder, below a file, no regular file, or its name is too long.
    """
    name = os.fspath(path)
    if not name.strip():
        raise InputError(f'{name!r}: wanted the name of a file to write, got an empty one')
    if name.endswith(os.sep) or os.path.isdir(name):
        raise InputError(f'{name}: a folder, wanted the name of a file to write')
    with explained(name), suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(name).st_mode):
            raise InputError(f'{name}: not a regular file, so it is not overwritten; choose another name')
    return Path(name)


def check_folder(path: str | os.PathLike, option: str = '') -> Path:
    """Return ``path`` if files can be written into this folder, as far as a look tells; nothing is made.

    Args:
        path: The folder.
        option: Name of the option that gave it, for the message about an empty one.

    Raises:
        InputError: It is empty, a file, below a file, or its name is too long.
    """
    name = os.fspath(path)
    if not name.strip():
        raise InputError(f'{option} {name!r}: wanted a folder, got an empty name'.strip())
    if os.path.isfile(name):
        raise InputError(f'{name}: wanted a folder, this is a file')
    with explained(name), suppress(FileNotFoundError):
        os.stat(name)
    return Path(name)


def try_folder(path: str | os.PathLike) -> None:
    """See that a folder takes files, by a block that is written there and removed; nothing is left.

    Raises:
        InputError: The folder cannot be made or written to, or the disk is full.
    """
    made = _make_folder(Path(path))
    try:
        with explained(path), tempfile.TemporaryFile(dir=path) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    finally:
        _remove_folders(made)


@contextmanager
def atomic_path(path: str | os.PathLike, new: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is on the disk, then renamed to ``path``.

    If the body raises, the temporary file is removed and ``path`` stays as it was. The parent
    folder is made. The temporary name keeps the suffix, since image writers choose by it.

    Args:
        path: The file.
        new: If the name is taken when the body is done, leave that file as it is.

    Raises:
        InputError: ``path`` cannot be written: see :func:`check_writable`; or its folder cannot be
            made or written to, or the disk is full.
    """
    path = check_writable(path)
    made = _make_folder(path.parent)
    temporary = None
    try:
        suffix = path.suffix if len(path.suffix) <= 16 else ''
        with explained(path):
            handle, name = tempfile.mkstemp(prefix=f'.{path.stem[:32]}-part-', suffix=suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        with _failures_of_writing(temporary, path):
            yield temporary
            _finish(temporary)
            if new:
                _link(temporary, path)
            else:
                temporary.replace(path)
                temporary = None
            made = []
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)
        _remove_folders(made)


def remove_leftovers(folder: str | os.PathLike) -> list[str]:
    """Remove what a killed process left half written in a folder, by :func:`atomic_path`'s names alone.

    Returns:
        The names, sorted.
    """
    names = [
        name for name in os.listdir(folder) if re.fullmatch(r'\..+-part-[a-z0-9_]{8}(\.[^.]{1,15})?', name)
    ]
    for name in names:
        Path(folder, name).unlink(missing_ok=True)
    return sorted(names)


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder; return what was made, deepest first."""
    missing = [level for level in (folder, *folder.parents) if not os.path.lexists(level)]
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_folders(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # somebody else has put something into it
            folder.rmdir()


def _finish(temporary: Path) -> None:
    """Give the file the permissions of a new file, and see it onto the disk."""
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)
    with open(temporary, 'rb') as file:
        os.fsync(file.fileno())


def _link(temporary: Path, path: Path) -> None:
    """Give the file its name, unless it is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:  # the disk knows no hard links
        temporary.replace(path)


@contextmanager
def _failures_of_writing(temporary: Path, path: Path) -> Iterator[None]:
    """Name ``path`` where writing ``temporary`` failed, also if a library says so in words of its own."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        own = isinstance(error, OSError) and error.filename in (None, str(temporary))
        line = explain(error, path) if own else None
        if line is None and not isinstance(error, OSError):
            code = _limit_reached(temporary)
            line = explain(OSError(code, ''), path) if code else None
        if line is None:
            raise
        raise InputError(line) from error


def _limit_reached(file: Path) -> int:
    """Return the error number of a limit that the size of ``file`` has reached, 0 if none."""
    with suppress(ImportError, OSError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY and file.stat().st_size >= limit:
            return errno.EFBIG
        if os.statvfs(file).f_bavail == 0:
            return errno.ENOSPC
    return 0


def refuse_overwriting(out: str | os.PathLike | None, *inputs: str | os.PathLike | None) -> None:
    """See that an output can be written and is none of the inputs, under whatever name; None is no file.

    Raises:
        InputError: Writing ``out`` would replace an input, or fail: see :func:`check_writable`.
    """
    if out is None:
        return
    check_writable(out)
    for path in inputs:
        if path is None:
            continue
        same = os.path.realpath(out) == os.path.realpath(path)
        with suppress(OSError):
            same = same or os.path.samefile(out, path)
        if same:
            raise InputError(
                f'{os.fspath(out)}: the output is the input {os.fspath(path)} itself, which would be lost; '
                'choose another name'
            )


def write_json(path: str | os.PathLike, data: Any, new: bool = False, **kwargs: Any) -> None:
    """Write ``data`` as JSON to ``path`` by :func:`atomic_path`; other keywords go to ``json.dumps``."""
    with atomic_path(path, new) as temporary:
        temporary.write_text(json.dumps(data, **kwargs) + '\n', encoding='utf-8')


def read_bytes(path: str | os.PathLike, limit: int | None = None) -> bytes:
    """Read a regular file of at most ``limit`` bytes.

    Raises:
        InputError: No such file, no regular file (one that would never end, such as a pipe, is not
            opened), not readable, empty, or too large.
    """
    with explained(path):
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            what = 'a folder, ' if stat.S_ISDIR(mode) else ''
            raise InputError(f'{os.fspath(path)}: {what}not a regular file, wanted a file to read')
        with open(path, 'rb') as file:
            data = file.read(-1 if limit is None else limit + 1)
    if limit is not None and len(data) > limit:
        raise InputError(
            f'{path}: larger than {limit} bytes, which no annotation file is; get the file again'
        )
    if not data.strip():
        raise InputError(f'{path}: the file is empty; get the file again')
    return data


def read_text(path: str | os.PathLike, limit: int | None = None) -> str:
    """Read a text file in UTF-8, or UTF-16 with a byte order mark.

    Raises:
        InputError: As :func:`read_bytes`, or the bytes are no such text.
    """
    data = read_bytes(path, limit)
    encoding = 'utf-16' if data[:2] in (b'\xff\xfe', b'\xfe\xff') else 'utf-8-sig'
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        what = 'not UTF-8 text' if encoding == 'utf-8-sig' else 'not UTF-8, and broken UTF-16 text'
        raise InputError(f'{path}: {what} at byte {error.start}') from None
    if '\0' in text:
        raise InputError(f'{path}: holds NUL characters, so it is no text; get the file again')
    return text


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file. The tokens NaN and Infinity are read as such: who needs finite numbers checks.

    Raises:
        InputError: As :func:`read_text`, or the text is not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:  # also a number of more digits than Python reads
        raise InputError(f'{path}: not valid JSON ({error})') from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; where a key comes twice, Python would take the last without a word."""
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(
            f'the key {next(key for key in keys if keys.count(key) > 1)!a} is given twice in one object'
        )
    return data
