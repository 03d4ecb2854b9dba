"""How the tools end: a clear line for bad input, a traceback only for a bug."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from mmslg.errors import InputError

USER_ERRORS = (InputError, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


def one_line(error: BaseException) -> str:
    """Return the message of ``error`` in one line.

    An error that crossed a data loader worker carries the worker's traceback in its text; only the
    message behind it is kept.
    """
    text = str(error).strip()
    marker = f'{type(error).__name__}: '
    if 'Traceback (most recent call last)' in text and marker in text:
        text = text.rsplit(marker, 1)[1]
    return ' '.join(text.split())


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a tool's ``main`` and exit: 0 or its return value, 1 with one line for bad input.

    Args:
        main: Takes no argument, returns an exit code or None.
    """
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'  # nothing that a tool loads may run code
    try:
        code = main()
    except USER_ERRORS as error:
        print(f'error: {one_line(error)}', file=sys.stderr, flush=True)
        code = 1
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        code = 130
    sys.exit(code or 0)
