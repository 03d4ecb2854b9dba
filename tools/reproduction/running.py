"""Cells that are run, some at once, each by one process at a time whatever was killed before."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired
from subprocess import run as run_command

from mmslg.errors import InputError
from mmslg.utils.progress import progress_bar
from reproduction.cells import Cell, Settings
from reproduction.machine import free_port
from reproduction.missing import missing_files, prepare_words, to_prepare
from reproduction.table import Table

PAUSE = 0.2  # seconds between two looks at what runs
GRACE = 30.0  # seconds that a process has to end


class Lock:
    """A lock that the system lets go of when the last process that holds it has ended.

    Commands inherit it: if this process is killed and its training is not, the cell stays locked until that
    one has ended too.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def take(self, wait: bool = False) -> bool:
        """Take it; return whether it was free."""
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let go of it."""
        os.close(self.file)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock, after waiting for it."""
    lock = Lock(path)
    try:
        lock.take(wait=True)
        yield
    finally:
        lock.close()


def prepare(table: Table, settings: Settings) -> None:
    """Make the files that the table says how to make.

    Raises:
        InputError: A command failed.
    """
    with locked(Path(settings.work_dir, '.prepare.lock')):
        for step in to_prepare(table, settings):
            words = prepare_words(step, settings)
            done = run_command(words, stdout=DEVNULL)
            if done.returncode:
                raise InputError(f'{" ".join(words)}: failed with exit code {done.returncode}, see above')


class Running:
    """A cell that is being run: its commands one after the other, its lock, its log.

    Args:
        cell: Nothing of it is missing.
        lock: Taken.
        gpus: Those that it has, as CUDA_VISIBLE_DEVICES names them; None where there are none.
    """

    def __init__(self, cell: Cell, lock: Lock, gpus: str | None = None) -> None:
        self.cell = cell
        self.lock = lock
        self.gpus = gpus
        self._steps = iter(cell.commands().items())
        self._step = ''
        print(f'{cell.name}: {"goes on" if cell.state == "begun" else "begins"} in {cell.folder}', flush=True)
        self.process: Popen | None = None
        self.failure: str | None = None
        self._log: Path | None = None

    def advance(self) -> bool:
        """Start the next command where the last one has ended; return whether the cell is at its end."""
        if self.process is not None and self.process.poll() is None:
            return False
        if self.process is not None and self.process.returncode:
            self.failure = f'exit code {self.process.returncode}, see {self._log}: {last_line(self._log)}'
            return True
        if self._step == 'test':
            try:
                self.cell.write_figures()
            except InputError as error:
                self.failure = str(error)
                return True
        self._step, words = next(self._steps, ('', []))
        if not words:
            return True
        self._log = self.cell.folder / f'{self._step}.log'
        with self._log.open('a') as log:
            self.process = Popen(
                words,
                env=self._environment(),
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                pass_fds=(self.lock.file,),
            )
        return False

    def _environment(self) -> dict[str, str]:
        """Return the environment of a command."""
        found = {**os.environ, **self.cell.environment(), 'PYTHON': sys.executable}
        if self.cell.settings.gpus > 1:
            found['MASTER_PORT'] = found['PORT'] = free_port()
        if self.gpus is not None:
            found['CUDA_VISIBLE_DEVICES'] = self.gpus
        return found

    def stop(self) -> None:
        """End its command."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(GRACE)
            except TimeoutExpired:
                self.process.kill()
                self.process.wait()


def run_cells(cells: list[Cell], jobs: int, slots: list[str], wait: bool = True) -> dict[str, str]:
    """Run cells, some at once.

    What is missing for a cell may come from another one, so it is looked at when its turn comes. A cell that
    another process runs is left to it.

    Args:
        cells: Those that are done are left alone.
        jobs: How many at once.
        slots: GPUs of each of these, see :func:`gpu_slots`.
        wait: Whether to wait for those that other processes run.

    Returns:
        Why cells were not run to their end, by their names.

    Raises:
        InputError: The folder of a cell holds another run.
    """
    waiting = [cell for cell in cells if not cell.done]
    running: list[Running] = []
    failures: dict[str, str] = {}
    told = False
    bar = progress_bar(len(waiting), 'cells', interval=0) if waiting else None

    def ended(cell: Cell, failure: str | None = None) -> None:
        if failure is not None:
            failures[cell.name] = failure
        bar.update()

    try:
        while waiting or running:
            for one in [one for one in running if one.advance()]:
                running.remove(one)
                one.lock.close()
                ended(one.cell, one.failure)
            elsewhere = _start(waiting, running, jobs, slots, ended)
            if not running and waiting and not elsewhere:
                failures |= {cell.name: f'missing: {", ".join(missing_files(cell))}' for cell in waiting}
                break
            if not running and waiting and not wait:
                failures |= {cell.name: 'another process runs it' for cell in waiting}
                break
            if not running and waiting and not told:
                told = True
                print(f'waiting for {len(waiting)} cells that another process runs', flush=True)
            time.sleep(PAUSE)
    finally:
        for one in running:
            one.stop()
            one.lock.close()
    return failures


def _start(
    waiting: list[Cell],
    running: list[Running],
    jobs: int,
    slots: list[str],
    ended: Callable[[Cell, str | None], None],
) -> bool:
    """Start waiting cells as far as there is room; return whether other processes run some of them.

    Each has GPUs of its own, one of the slots; there are none where there is no GPU.
    """
    elsewhere = False
    for cell in list(waiting):
        if len(running) >= jobs:
            return True
        if missing_files(cell):
            continue
        lock = Lock(cell.folder.with_name(f'.{cell.folder.name}.lock'))
        if not lock.take():
            lock.close()
            elsewhere = True
            continue
        waiting.remove(cell)
        try:
            if not cell.done:  # by another process, meanwhile
                cell.claim()
                taken = {one.gpus for one in running}
                running.append(Running(cell, lock, next((s for s in slots if s not in taken), None)))
                continue
            failure = None
        except InputError as error:
            failure = str(error)
        lock.close()
        ended(cell, failure)
    return elsewhere


def last_line(log: Path | None) -> str:
    """Return the last line of a log."""
    with suppress(OSError):
        return (log.read_text(errors='replace').strip().splitlines() or ['nothing'])[-1]
    return 'nothing'
