"""How the tools end: a clear line for what the user can mend, a traceback only for a bug."""

from __future__ import annotations

import io
import logging
import os
import re
import select
import signal
import sys
import threading
import time
import warnings
from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TextIO

from mmslg.errors import InputError, SaidElsewhereError
from mmslg.utils.os_errors import explain

USER_ERRORS = (InputError, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)
BROKEN_PIPE = 141
INTERRUPTED = 130
TERMINATED = 143
LIBRARIES_AMONG_THEMSELVES = 'DeprecationWarning: `num_anchors`', 'torch.meshgrid: in an upcoming release'
"""Warnings of MMDetection about its own code, which say nothing to whoever runs a tool."""
PATIENCE = 5.0
"""Seconds that other processes of a run leave to the first, so that a failure of all is said once."""


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


def rank() -> int:
    """Return the number of this process in its run, as torchrun or Slurm has set it; 0 where there is one."""
    number = os.environ.get('RANK', os.environ.get('SLURM_PROCID', ''))
    return int(number) if number.isdigit() else 0


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a tool's ``main`` and exit: 0 or its return value, 1 with one line for what the user can mend.

    Full disks, missing permissions and the like are such lines; a reader that has gone
    (``tool | head -1``) ends the tool quietly with 141; an interrupt is 130, and SIGTERM, upon which
    temporary files are removed, 143. Of several processes of one run, the first says what is wrong.

    Args:
        main: Takes no argument, returns an exit code or None.
    """
    for message in LIBRARIES_AMONG_THEMSELVES:
        warnings.filterwarnings('ignore', message)
    logging.raiseExceptions = False  # a log that a full disk does not take is no traceback
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'  # nothing that a tool loads may run code
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):  # a file name may hold what the terminal cannot show
            stream.reconfigure(errors='backslashreplace')
    former = _on_sigterm(_terminate)
    try:
        sys.exit(_outcome(main))
    finally:
        _on_sigterm(former)


def _outcome(main: Callable[[], int | None]) -> int:
    try:
        try:
            return main() or 0
        except Exception:
            if rank():  # mostly the first process fails as well, and its launcher ends this one
                time.sleep(PATIENCE)
            raise
        finally:
            if sys.stdout:  # here, since a failure during the interpreter's shutdown cannot be caught
                sys.stdout.flush()
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return INTERRUPTED
    except SaidElsewhereError:
        return 1
    except USER_ERRORS as error:
        message = explain(error) if isinstance(error, OSError) else None
        return _fail(message or one_line(error))
    except OSError as error:
        gone = [stream for stream in (sys.stdout, sys.stderr) if _lead_nowhere(stream)]
        if isinstance(error, BrokenPipeError) and gone:
            return BROKEN_PIPE
        message = explain(error, gone[0].name if gone else None)
        if message is None:
            raise
        return _fail(message)


def _fail(message: str) -> int:
    with suppress(OSError):
        print(f'error: {message}', file=sys.stderr, flush=True)
    return 1


def _lead_nowhere(stream: TextIO) -> bool:
    """If a stream takes nothing any more, send the rest to nowhere; return whether that was so."""
    try:
        stream.flush()
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        if not any(event & select.POLLERR for _, event in poll.poll(0)):
            return False
    except io.UnsupportedOperation:  # a stream without a file, as in tests
        return False
    except OSError:
        pass
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return True


def _terminate(*_: object) -> NoReturn:
    sys.exit(TERMINATED)


def _on_sigterm(handler: object) -> object:
    """Set the handler where that is possible; return the former one."""
    if handler is None or threading.current_thread() is not threading.main_thread():
        return None
    return signal.signal(signal.SIGTERM, handler)


def parse_positive(text: str) -> int:
    """Read a whole number of at least 1.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f'wanted a number of at least 1, got {text!r}')
    return int(text)


def parse_seed(text: str) -> int:
    """Read a whole number from 0.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not text.isdecimal():
        raise ArgumentTypeError(f'wanted a whole number from 0, got {text!r}')
    return int(text)


def parse_score(text: str) -> float:
    """Read a score, a number from 0 to 1.

    Raises:
        ArgumentTypeError: It is none.
    """
    with suppress(ValueError):
        score = float(text)
        if 0 <= score <= 1:
            return score
    raise ArgumentTypeError(f'wanted a score from 0 to 1, got {text!r}')


def parse_size(text: str) -> tuple[int, int]:
    """Read ``WIDTHxHEIGHT`` in pixels, two whole numbers from 1 to 99999.

    Raises:
        ArgumentTypeError: It is none.
    """
    found = re.fullmatch(r'([0-9]{1,5})x([0-9]{1,5})', text)
    width, height = (int(side) for side in found.groups()) if found else (0, 0)
    if not (width and height):
        raise ArgumentTypeError(f'wanted WIDTHxHEIGHT in pixels such as 640x512, got {text!r}')
    return width, height
