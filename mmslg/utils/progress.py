"""A progress bar with rate and time left; where there is no terminal, a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from tqdm import tqdm

_LINE = '{n_fmt}/{total_fmt} {unit}, {rate_fmt}, {remaining} left'


class _Lines:
    """A stream for tqdm that gets whole lines in place of one line rewritten."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = ''

    def write(self, text: str) -> None:
        line = ' '.join(text.split())
        count = line.split(',')[0]
        if count and not count.startswith('0/') and count != self._last:
            self._stream.write(line + '\n')
            self._last = count

    def flush(self) -> None:
        self._stream.flush()


class _Bar(tqdm):
    monitor_interval = 0  # no thread, which would not survive the forks of worker processes

    def update(self, n: float | None = 1) -> bool | None:
        shown = super().update(n)
        if self.total is not None and self.n >= self.total:
            self.close()
        return shown


def progress_bar(total: int | None, what: str, interval: float | None = None) -> tqdm:
    """Return a bar on standard error; ``bar.update(n)`` counts ``n`` more, and the last one closes it.

    Args:
        total: Count at the end, None if it is not known; close the bar then.
        what: What is counted, in the plural.
        interval: Seconds between reports; None takes 0.2 on a terminal and 5 elsewhere.
    """
    terminal = sys.stderr.isatty()
    if interval is None:
        interval = 0.2 if terminal else 5.0
    return _Bar(
        total=total,
        unit=what,
        file=sys.stderr if terminal else _Lines(sys.stderr),
        bar_format='{percentage:3.0f}%|{bar}| ' + _LINE if terminal else _LINE,
        dynamic_ncols=terminal,
        mininterval=interval,
        miniters=1,
        position=0,
    )


def count_to(bar: tqdm) -> Callable[[int], None]:
    """Return a function that brings a bar to the number done so far."""
    return lambda done: bar.update(done - bar.n)
