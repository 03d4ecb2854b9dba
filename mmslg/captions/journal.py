"""What a captioning run has done so far, on disk, so that one or many processes can be interrupted.

Each process appends to a journal of its own, ``<out>.partial`` or ``<out>.partial-R-of-N``, and locks it
while it works. Whichever process ends last merges all journals into ``<out>`` and
``<out>.failed.jsonl`` and removes them. Journals of another number of processes are merged as well.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from mmslg.captions.captioners.base import CaptionFailure
from mmslg.captions.schema import (
    CaptionRecord,
    format_record,
    image_key,
    parse_record,
    read_captions,
    write_captions,
)
from mmslg.errors import InputError
from mmslg.utils.io import atomic_path

LOCK_PATIENCE = 20.0
"""Seconds to wait for a journal that a merge of other processes may be reading."""


@dataclass(frozen=True)
class FailedPair:
    """A pair that got no caption, as ``<out>.failed.jsonl`` lists it.

    Args:
        file_name: Key of the image.
        failure: Why, in one line.
        answer: What the model said last, cut short; empty if it said nothing.
        captioner: Registered name of the captioner.
        version: Version of its rules or model.
    """

    file_name: str
    failure: str
    answer: str
    captioner: str
    version: str

    @classmethod
    def from_exception(cls, key: str, failure: CaptionFailure, captioner: str, version: str) -> FailedPair:
        """Describe what a captioner raised."""
        return cls(key, ' '.join(str(failure).split()), failure.answer, captioner, version)


@dataclass
class Done:
    """Records and failures by image key; a record is never replaced by a failure."""

    records: dict[str, CaptionRecord] = field(default_factory=dict)
    failures: dict[str, FailedPair] = field(default_factory=dict)

    def add(self, entry: CaptionRecord | FailedPair) -> None:
        """Take in one entry."""
        if isinstance(entry, CaptionRecord):
            self.records[entry.file_name] = entry
            self.failures.pop(entry.file_name, None)
        elif entry.file_name not in self.records:
            self.failures[entry.file_name] = entry


def failed_path(out: str | os.PathLike) -> Path:
    """Return the file that lists the pairs which ``out`` lacks."""
    out = Path(out)
    return out.with_name(f'{out.name}.failed.jsonl')


class Journal:
    """The journals of one output file, seen by one of the processes that write it.

    Args:
        out: Captions file that the run will write.
        rank: Number of this process, from 0.
        world: Number of processes.
        resume: Whether ``out`` and earlier journals count.
    """

    def __init__(self, out: Path, rank: int, world: int, resume: bool) -> None:
        if not 0 <= rank < world:
            raise InputError(f'wanted RANK from 0 to WORLD_SIZE - 1, got RANK={rank}, WORLD_SIZE={world}')
        self.out = out
        self.path = out.with_name(f'{out.name}.partial' + (f'-{rank}-of-{world}' if world > 1 else ''))
        self._name = re.compile(re.escape(f'{out.name}.partial') + r'(?:-\d+-of-(\d+))?')
        self._world = world
        self._resume = resume
        self._file: BinaryIO | None = None

    def open(self) -> Done:
        """Lock the journal of this process and return what was done before.

        Raises:
            InputError: A file is broken, another process writes this journal, or there are journals of
                an unfinished run although it should not be resumed.
        """
        self.out.parent.mkdir(parents=True, exist_ok=True)
        if not self._resume:
            self._refuse_leftovers()
        self._file = self._locked()
        with self._exclusive():
            before = self._read()
        content = self.path.read_bytes()
        # A process that was killed may leave half a line.
        self._file.truncate(content.rfind(b'\n') + 1)
        return before

    def append(self, entry: CaptionRecord | FailedPair) -> None:
        """Write one entry; it is on disk, for all but a crash of the machine, when this returns."""
        line = format_record(entry) if isinstance(entry, CaptionRecord) else _format_failure(entry)
        self._file.write(line.encode('utf-8'))
        self._file.flush()

    def close(self) -> None:
        """Let go of the journal; unless it is empty, it stays for a later run."""
        if self._file is None:
            return
        with self._exclusive():
            if not self._file.tell():
                self.path.unlink()
            self._release()

    def merge(self, keys: Sequence[str]) -> Done | None:
        """Write ``out`` and the list of failures if no other process has work left.

        Args:
            keys: Images that the whole run should caption.

        Returns:
            What was written; None if another process still works, is missing, or has merged already.
        """
        with self._exclusive(), ExitStack() as stack:
            self._release()
            journals = self._journals()
            if self.path not in journals or not all(stack.enter_context(_try_lock(p)) for p in journals):
                return None
            done = self._read()
            if any(key not in done.records and key not in done.failures for key in keys):
                return None
            wanted = set(keys)
            others = [record for key, record in done.records.items() if key not in wanted]
            write_captions(self.out, others + [done.records[key] for key in keys if key in done.records])
            _write_failures(failed_path(self.out), done.failures.values())
            for path in journals:
                path.unlink()
        return done

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _journals(self) -> list[Path]:
        return sorted(path for path in self.out.parent.iterdir() if self._name.fullmatch(path.name))

    def _refuse_leftovers(self) -> None:
        for path in self._journals():
            # Journals of as many processes may belong to this very run.
            other = path == self.path or int(self._name.fullmatch(path.name)[1] or 1) != self._world
            if other and path.stat().st_size:
                raise InputError(
                    f'{path}: captions of an unfinished run; go on with --resume, or delete the file to '
                    'start anew'
                )

    def _read(self) -> Done:
        done = Done()
        if self._resume:
            _read_entries(failed_path(self.out), done)
            if self.out.is_file() and self.out.stat().st_size:
                for record in read_captions(self.out).values():
                    done.add(record)
        for path in self._journals():
            _read_entries(path, done)
        return done

    def _locked(self) -> BinaryIO:
        end = time.monotonic() + LOCK_PATIENCE
        while True:
            file = self.path.open('ab')
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_still(file, self.path):
                    return file
            except BlockingIOError:
                if time.monotonic() > end:
                    raise InputError(f'{self.path}: another process is writing it') from None
                time.sleep(0.1)
            file.close()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Keep the other processes from reading all journals or removing them."""
        path = self.out.with_name(f'{self.out.name}.partial.lock')
        while True:
            with path.open('ab') as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if not _is_still(file, path):
                    continue  # it was removed while this process waited
                try:
                    yield
                finally:
                    if not self._journals():
                        path.unlink()
                return


def _is_still(file: BinaryIO, path: Path) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


@contextmanager
def _try_lock(path: Path) -> Iterator[bool]:
    with path.open('rb') as file:
        locked = False
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        yield locked


def _read_entries(path: Path, done: Done) -> None:
    if not path.is_file():
        return
    content = path.read_bytes()
    # Behind the last line break is nothing, or what a killed process left of a line.
    for number, line in enumerate(content.split(b'\n')[:-1], start=1):
        if line.strip():
            try:
                done.add(_parse(line))
            except InputError as error:
                raise InputError(f'{path}, line {number}: {error}; delete the file to start anew') from None


def _parse(line: bytes) -> CaptionRecord | FailedPair:
    data = None
    with suppress(ValueError, RecursionError):
        data = json.loads(line)
    if not isinstance(data, dict) or 'failure' not in data or 'environment' in data:
        return parse_record(line)
    values = {name: data.get(name) for name in FailedPair.__dataclass_fields__}
    if not all(isinstance(value, str) for value in values.values()):
        raise InputError(f'wanted text in the fields {", ".join(values)}')
    return FailedPair(**{**values, 'file_name': image_key(data['file_name'])})


def _format_failure(failure: FailedPair) -> str:
    return json.dumps(asdict(failure)) + '\n'


def _write_failures(path: Path, failures: Sequence[FailedPair]) -> None:
    if not failures:
        path.unlink(missing_ok=True)
        return
    with atomic_path(path) as temporary:
        temporary.write_text(''.join(map(_format_failure, failures)), encoding='utf-8')
