"""What a captioning run has done so far, in a file that survives the end of the run at any moment.

``<out>.partial`` gets a line for every pair as soon as the pair is through: its record of ``captions.jsonl``,
or the reason why there is none. Lines are only ever appended; what a killed run left of its last line is
dropped. When all pairs are through, ``<out>`` and ``<out>.failed.jsonl`` are written whole, and the journal
goes.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mmslg.captions.schema import (
    CaptionRecord,
    format_record,
    image_key,
    one_line,
    parse_lines,
    read_captions,
    write_captions,
)
from mmslg.errors import InputError
from mmslg.utils.io import atomic_path, check_writable
from mmslg.utils.os_errors import explained

LONGEST_NAME = 255
"""Bytes of a file name on usual disks."""


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
    answer: str = ''
    captioner: str = ''
    version: str = ''

    @classmethod
    def from_dict(cls, data: Any) -> FailedPair:
        """Make an entry from one parsed line.

        Raises:
            InputError: A field is missing or no text.
        """
        fields = data if isinstance(data, dict) else {}
        values = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        if not {'file_name', 'failure'} <= set(values) or not all(
            isinstance(v, str) for v in values.values()
        ):
            raise InputError(f'wanted an object with file_name and failure, got {one_line(str(data))}')
        return cls(**{**values, 'file_name': image_key(values['file_name'])})


Entry = CaptionRecord | FailedPair


def failed_path(out: str | os.PathLike) -> Path:
    """Return the file that lists the pairs which ``out`` lacks."""
    out = Path(out)
    return out.with_name(f'{out.name}.failed.jsonl')


def partial_path(out: str | os.PathLike) -> Path:
    """Return the journal of an unfinished run."""
    out = Path(out)
    return out.with_name(f'{out.name}.partial')


def read_failures(out: str | os.PathLike) -> list[FailedPair]:
    """Read which pairs ``out`` lacks, none if nothing is listed.

    Raises:
        InputError: A line is no such entry.
    """
    path = failed_path(out)
    content = path.read_bytes() if path.is_file() else b''
    return [failure for _, failure in parse_lines(path, content, FailedPair.from_dict)]


class Journal:
    """The journal of one output file, for one run at a time.

    Args:
        out: Captions file that the run will write.
        resume: Whether captions that are there count. If not, there must be none.

    Attributes:
        records: Captions so far, by image key.
        failures: Pairs that got none so far, by image key.
    """

    def __init__(self, out: str | os.PathLike, resume: bool = False) -> None:
        self.out = check_writable(out)
        if len(os.fsencode(failed_path(out).name)) > LONGEST_NAME:
            raise InputError(f'{out}: the name is too long; choose a shorter one')
        self.path = partial_path(out)
        self.records: dict[str, CaptionRecord] = {}
        self.failures: dict[str, FailedPair] = {}
        self._resume = resume
        self._file: BinaryIO | None = None

    def __enter__(self) -> Journal:
        """Read what was done before, and open the journal.

        Raises:
            InputError: A file is broken or cannot be written, another run writes this journal, or there are
                captions although the run should not go on from them.
        """
        if not self._resume:
            self._refuse_captions()
        with explained(self.path):
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open('ab', buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise InputError(f'{self.path}: another run is writing it; wait for its end') from None
        except OSError:
            pass  # a file system without locks
        try:
            self._read()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the journal; unless it is empty, it stays for a later run."""
        with self._file as file:
            if self.path.exists() and not os.fstat(file.fileno()).st_size:
                self.path.unlink()

    def append(self, entry: Entry) -> None:
        """Take in one entry; its line is the system's, and outlives this process, when this returns.

        Raises:
            InputError: The line cannot be written; the run can go on later from those before.
        """
        line = memoryview(_format(entry).encode())
        whole = os.fstat(self._file.fileno()).st_size
        try:
            with explained(self.path):
                while line:
                    line = line[self._file.write(line) :]
        except InputError:
            self._file.truncate(whole)
            raise
        self._add(entry)

    def finish(self, keys: Sequence[str]) -> None:
        """Write ``out`` and the list of failures, and remove the journal.

        Args:
            keys: Images of this run in the order of the files; those of earlier runs come first.
        """
        wanted = dict.fromkeys(keys)
        for entries in (self.records, self.failures):
            order = [*(key for key in entries if key not in wanted), *(key for key in keys if key in entries)]
            for key in order:
                entries[key] = entries.pop(key)
        write_captions(self.out, self.records.values())
        failed = failed_path(self.out)
        if self.failures:
            with atomic_path(failed) as temporary:
                temporary.write_text(''.join(map(_format, self.failures.values())), encoding='utf-8')
        else:
            failed.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _add(self, entry: Entry) -> None:
        """Take in one entry; a caption is never replaced by a failure."""
        if isinstance(entry, CaptionRecord):
            self.records[entry.file_name] = entry
            self.failures.pop(entry.file_name, None)
        elif entry.file_name not in self.records:
            self.failures[entry.file_name] = entry

    def _refuse_captions(self) -> None:
        what_to_do = 'go on from there with --resume, or choose another --out'
        if self.path.is_file() and b'\n' in self.path.read_bytes():
            raise InputError(f'{self.path}: captions of an unfinished run; {what_to_do}')
        if _size(self.out):
            try:
                records = read_captions(self.out).values()
            except InputError:
                raise InputError(
                    f'{self.out}: is there already, and is no captions file; choose another --out'
                ) from None
            authors = ', '.join(sorted({f'{record.captioner} {record.version}' for record in records}))
            raise InputError(f'{self.out}: holds {len(records)} captions by {authors}; {what_to_do}')

    def _read(self) -> None:
        if self._resume:
            for failure in read_failures(self.out):
                self._add(failure)
            if _size(self.out):
                for record in read_captions(self.out).values():
                    self._add(record)
        content = self.path.read_bytes()
        whole = content[: content.rfind(b'\n') + 1]
        for _, entry in parse_lines(self.path, whole, _entry):
            self._add(entry)
        self._file.truncate(len(whole))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _entry(data: Any) -> Entry:
    failed = isinstance(data, dict) and 'failure' in data and 'environment' not in data
    return FailedPair.from_dict(data) if failed else CaptionRecord.from_dict(data)


def _format(entry: Entry) -> str:
    return format_record(entry) if isinstance(entry, CaptionRecord) else json.dumps(asdict(entry)) + '\n'
