"""Captioning many pairs: in parallel, resumable, written whole at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from mmslg.captions.base import Captioner
from mmslg.captions.pairs import ImagePair
from mmslg.captions.schema import CaptionRecord, format_record, parse_record, read_captions, write_captions
from mmslg.errors import InputError
from mmslg.utils.image_io import read_infrared, read_visible


def generate_captions(
    pairs: Sequence[ImagePair],
    captioner: Captioner,
    name: str,
    out: str | os.PathLike,
    resume: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[CaptionRecord]:
    """Caption pairs and write ``captions.jsonl``.

    Every caption is also appended at once to ``<out>.partial``, which vanishes when the run is
    complete; after an interruption ``resume`` goes on from there.

    Args:
        pairs: Pairs to caption.
        captioner: Writes the captions.
        name: Its registered name, kept in each record.
        out: File to write.
        resume: Keep the captions that ``out`` and its partial file have.
        workers: Threads; decoding and OpenCV release the interpreter lock.
        progress: Called with the number of pairs captioned in this run and how many it has to caption.

    Returns:
        All records of ``out``: those kept for other images first, then one per pair, in order.

    Raises:
        InputError: An image cannot be read, or the captions kept were written by another captioner.
    """
    out = Path(out)
    journal = out.with_name(f'{out.name}.partial')
    records = _kept(out, journal) if resume else {}
    _check_origin(records.values(), name, captioner.version, out)
    todo = [pair for pair in pairs if pair.key not in records]
    if progress:
        progress(0, len(todo))
    write_captions(journal, records.values())
    with journal.open('a', encoding='utf-8', newline='\n') as file:
        for done, record in enumerate(_run(todo, captioner, name, workers), start=1):
            records[record.file_name] = record
            file.write(format_record(record))
            file.flush()
            if progress:
                progress(done, len(todo))
    wanted = {pair.key for pair in pairs}
    others = [record for key, record in records.items() if key not in wanted]
    result = others + [records[pair.key] for pair in pairs]
    write_captions(out, result)
    journal.unlink()
    return result


def caption_pair(pair: ImagePair, captioner: Captioner, name: str) -> CaptionRecord:
    """Read and caption one pair.

    Raises:
        InputError: An image cannot be read or captioned; the message names it.
    """
    visible, infrared = read_visible(pair.visible, pair.crop), read_infrared(pair.infrared, pair.crop)
    return CaptionRecord(pair.key, captioner.caption(visible, infrared), name, captioner.version)


def _run(
    pairs: Iterable[ImagePair], captioner: Captioner, name: str, workers: int
) -> Iterator[CaptionRecord]:
    remaining = iter(pairs)
    with ThreadPoolExecutor(workers) as pool:
        # A bounded queue: an error ends the run after the few pairs under way.
        queue = [pool.submit(caption_pair, pair, captioner, name) for pair in islice(remaining, 4 * workers)]
        try:
            while queue:
                record = queue.pop(0).result()
                for pair in islice(remaining, 1):
                    queue.append(pool.submit(caption_pair, pair, captioner, name))
                yield record
        finally:
            for future in queue:
                future.cancel()


def _kept(out: Path, journal: Path) -> dict[str, CaptionRecord]:
    records = read_captions(out) if out.is_file() else {}
    if journal.is_file():
        *lines, _unfinished = journal.read_bytes().split(b'\n')
        for number, line in enumerate(lines, start=1):
            try:
                record = parse_record(line)
            except InputError as error:
                raise InputError(
                    f'{journal}, line {number}: {error}; delete the file to start anew'
                ) from None
            records[record.file_name] = record
    return records


def _check_origin(records: Iterable[CaptionRecord], name: str, version: str, out: Path) -> None:
    for record in records:
        if (record.captioner, record.version) != (name, version):
            raise InputError(
                f'{out}: {record.file_name} was captioned by {record.captioner} {record.version}, and '
                f'{name} {version} would go on; choose another --out or leave out --resume'
            )
