"""Failures of the file system in one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from mmslg.errors import InputError

_WHAT_TO_DO = {
    errno.ENOENT: 'no such file or folder',
    errno.ENOSPC: 'the disk is full; make room or write elsewhere',
    errno.EDQUOT: 'the quota of the disk is used up; make room or write elsewhere',
    errno.EFBIG: 'the file exceeds the largest size allowed here; see `ulimit -f`',
    errno.EACCES: 'no permission; choose another place, or change the permissions',
    errno.EPERM: 'no permission; choose another place, or change the permissions',
    errno.EROFS: 'the disk is read-only; write elsewhere',
    errno.ENAMETOOLONG: 'the name is too long; choose a shorter one',
    errno.ELOOP: 'a symbolic link that leads back to itself; remove it',
    errno.ENOTDIR: 'a part of the path is a file, and no folder',
    errno.EISDIR: 'a folder, wanted a file',
    errno.EEXIST: 'exists already, and is no folder',
    errno.EMFILE: 'too many open files; see `ulimit -n`',
    errno.EIO: 'the disk reports an error; is it still there?',
    errno.ESTALE: 'the network disk lost the file; try again',
}


def explain(error: OSError, path: str | os.PathLike | None = None) -> str | None:
    """Say in one line what a failure of the file system means and what to do.

    Args:
        error: As the system raised it.
        path: The file meant; None takes the error's own.

    Returns:
        The line, or None for a failure that is no matter of files.
    """
    what = _WHAT_TO_DO.get(error.errno)
    path = error.filename if path is None else path
    return what if what is None or path is None else f'{os.fsdecode(path)}: {what}'


@contextmanager
def explained(path: str | os.PathLike) -> Iterator[None]:
    """Turn failures of the file system in the body into an InputError that names ``path``."""
    try:
        yield
    except OSError as error:
        line = explain(error, path)
        if line is None:
            raise
        raise InputError(line) from error
