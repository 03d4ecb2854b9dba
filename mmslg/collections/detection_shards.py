"""Detections of a collection in a folder of Parquet files, each written whole."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from mmslg.engine.identity import claim, release
from mmslg.errors import InputError
from mmslg.utils.io import atomic_path, check_folder, remove_leftovers
from mmslg.utils.os_errors import explained

SCHEMA = pa.schema(
    [
        pa.field('id', pa.string(), nullable=False),
        pa.field('boxes', pa.list_(pa.list_(pa.float32())), nullable=False),
        pa.field('scores', pa.list_(pa.float32()), nullable=False),
        pa.field('labels', pa.list_(pa.int32()), nullable=False),
        pa.field('class_names', pa.list_(pa.string()), nullable=False),
        pa.field('error', pa.string()),
    ]
)
"""A row is a pair; ``error`` is null, or says why it has no detections."""


class DetectionShards:
    """The shards of one folder, for one run at a time.

    Args:
        folder: Where they lie.
        identity: What makes two runs the same: ``settings`` and ``files``, see
            :func:`mmslg.engine.identity.run_identity`.
        rows: Rows of a shard.

    Attributes:
        done: Ids of the rows that are written.
        failed: How many of these rows have an error.
    """

    def __init__(self, folder: str | os.PathLike, identity: dict[str, Any], rows: int = 1000) -> None:
        self.folder = check_folder(folder, '--out')
        self.done: set[str] = set()
        self.failed = 0
        self._identity = identity
        self._rows = rows
        self._waiting: list[pa.Table] = []
        self._next = 0
        self._lock: int | None = None

    def __enter__(self) -> DetectionShards:
        """Read which rows are there.

        Raises:
            InputError: The folder is that of a run with another config or checkpoint, a shard is broken, or
                another run writes into it.
        """
        claim(self.folder, self._identity, '--out')
        self._lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_leftovers(self.folder)
            for path in sorted(self.folder.glob('part-*.parquet')):
                self._read(path)
        except BlockingIOError:
            os.close(self._lock)
            raise InputError(f'{self.folder}: another run is writing into it; wait for its end') from None
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Write the rows that wait for a full shard, also where the run has failed.

        A folder without any shard is given back: another run may take it.
        """
        try:
            self._write()
            if not self._next:
                release(self.folder)
        finally:
            os.close(self._lock)

    def add(self, table: pa.Table) -> None:
        """Take rows of :data:`SCHEMA`; they are on the disk when a shard is full, or at the end."""
        self._waiting.append(table)
        if sum(part.num_rows for part in self._waiting) >= self._rows:
            self._write()

    def _read(self, path: Path) -> None:
        try:
            table = pa.parquet.read_table(path, columns=['id', 'error'])
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f'{path}: cannot be read ({error!s:.100}); remove it to detect its pairs again'
            ) from None
        self._count(table)
        self._next = max(self._next, int(path.stem.removeprefix('part-')) + 1)

    def _count(self, table: pa.Table) -> None:
        self.done.update(table['id'].to_pylist())
        self.failed += table.num_rows - table['error'].null_count

    def _write(self) -> None:
        rows, self._waiting = self._waiting, []
        if not rows:
            return
        table = pa.concat_tables(rows)
        path = self.folder / f'part-{self._next:06d}.parquet'
        with explained(path), atomic_path(path) as temporary:
            pa.parquet.write_table(table, temporary)
        self._next += 1
        self._count(table)
