"""Captioning many pairs: in parallel, on one or many processes, resumable, written whole at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mmslg.captions.captioners.base import Captioner, CaptionFailure
from mmslg.captions.journal import FailedPair, Journal
from mmslg.captions.pairs import ImagePair
from mmslg.captions.schema import CaptionRecord
from mmslg.errors import InputError
from mmslg.utils.image_io import read_infrared, read_visible

Entry = CaptionRecord | FailedPair


@dataclass(frozen=True)
class Generation:
    """What a run has come to.

    Args:
        records: All records of ``out``: those kept for other images first, then one per pair, in order.
        failures: Pairs without a caption, listed in ``<out>.failed.jsonl``.
        whole: Whether ``out`` was written. If not, records and failures are those of this process, and
            the process that ends last writes the file.
    """

    records: list[CaptionRecord]
    failures: list[FailedPair]
    whole: bool = True


def shard_from_environment() -> tuple[int, int]:
    """Return the rank of this process and the number of processes, as torchrun sets them; else 0 and 1.

    Raises:
        InputError: ``RANK`` or ``WORLD_SIZE`` is no number.
    """
    texts = os.environ.get('RANK', '0'), os.environ.get('WORLD_SIZE', '1')
    try:
        return int(texts[0]), int(texts[1])
    except ValueError:
        raise InputError(f'wanted numbers, got RANK={texts[0]!r}, WORLD_SIZE={texts[1]!r}') from None


def generate_captions(
    pairs: Sequence[ImagePair],
    captioner: Captioner,
    name: str,
    out: str | os.PathLike,
    resume: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    rank: int = 0,
    world: int = 1,
) -> Generation:
    """Caption pairs and write ``captions.jsonl``.

    Every caption is also appended at once to a journal beside ``out``, which vanishes when the run is
    complete; after an interruption ``resume`` goes on from there, also with another number of processes.

    Args:
        pairs: Pairs to caption, the same in each process.
        captioner: Writes the captions.
        name: Its registered name, kept in each record.
        out: File to write.
        resume: Keep the captions that ``out`` and its journals have, and try failed pairs again.
        workers: Threads; decoding and OpenCV release the interpreter lock.
        progress: Called with the number of pairs through in this run and how many it has to caption.
        rank: Number of this process, which takes ``pairs[rank::world]``.
        world: Number of processes.

    Raises:
        InputError: An image cannot be read, the captions kept were written by another captioner, or a
            run was interrupted and ``resume`` is not set.
    """
    journal = Journal(Path(out), rank, world, resume)
    try:
        before = journal.open()
        _check_origin(before.records.values(), name, captioner.version, Path(out))
        todo = [pair for pair in pairs[rank::world] if pair.key not in before.records]
        if progress:
            progress(0, len(todo))
        own: list[Entry] = []
        for entry in _run(todo, captioner, name, workers):
            journal.append(entry)
            own.append(entry)
            if progress:
                progress(len(own), len(todo))
        done = journal.merge([pair.key for pair in pairs])
    finally:
        journal.close()
    if done is None:
        failures = [entry for entry in own if isinstance(entry, FailedPair)]
        records = [entry for entry in own if isinstance(entry, CaptionRecord)]
        return Generation(records, failures, whole=False)
    wanted = {pair.key for pair in pairs}
    others = [record for key, record in done.records.items() if key not in wanted]
    records = [done.records[pair.key] for pair in pairs if pair.key in done.records]
    return Generation(others + records, list(done.failures.values()))


def caption_pairs(pairs: Sequence[ImagePair], captioner: Captioner, name: str) -> list[Entry]:
    """Read and caption a batch of pairs.

    Raises:
        InputError: An image cannot be read or captioned; the message names it.
    """
    images = [
        (read_visible(pair.visible, pair.crop), read_infrared(pair.infrared, pair.crop)) for pair in pairs
    ]
    results = captioner.caption_batch(images)
    if len(results) != len(pairs):
        raise ValueError(f'captioner {name!r} gave {len(results)} results for {len(pairs)} pairs')
    return [
        FailedPair.from_exception(pair.key, result, name, captioner.version)
        if isinstance(result, CaptionFailure)
        else CaptionRecord(pair.key, result, name, captioner.version, captioner.details)
        for pair, result in zip(pairs, results, strict=True)
    ]


def _run(pairs: Sequence[ImagePair], captioner: Captioner, name: str, workers: int) -> Iterator[Entry]:
    """Yield entries as they come, so that a slow pair keeps no finished one from being written."""
    size = captioner.batch_size
    batches = (pairs[start : start + size] for start in range(0, len(pairs), size))
    error: BaseException | None = None
    with ThreadPoolExecutor(workers) as pool:
        # A bounded queue: an error ends the run after the few batches under way.
        pending = {
            pool.submit(caption_pairs, batch, captioner, name) for batch in islice(batches, 2 * workers)
        }
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    if future.exception() is None:
                        yield from future.result()
                    else:
                        error = error or future.exception()
                if error is None:
                    pending |= {
                        pool.submit(caption_pairs, batch, captioner, name)
                        for batch in islice(batches, len(done))
                    }
                else:
                    pending = {future for future in pending if not future.cancel()}
        finally:
            for future in pending:
                future.cancel()
    if error is not None:
        raise error


def _check_origin(records: Iterable[CaptionRecord], name: str, version: str, out: Path) -> None:
    for record in records:
        if (record.captioner, record.version) != (name, version):
            raise InputError(
                f'{out}: {record.file_name} was captioned by {record.captioner} {record.version}, and '
                f'{name} {version} would go on; choose another --out or leave out --resume'
            )
