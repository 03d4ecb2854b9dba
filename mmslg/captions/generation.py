"""Captioning many pairs: in threads, resumable, written whole at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from mmslg.annotations import Annotations, ImagePair
from mmslg.captions.captioners.base import Captioner, CaptionFailure
from mmslg.captions.journal import Entry, FailedPair, Journal
from mmslg.captions.schema import CaptionRecord
from mmslg.errors import InputError
from mmslg.utils.image_io import read_infrared, read_visible


@dataclass(frozen=True)
class Generation:
    """What a run has come to.

    Args:
        records: All records of ``out``: those kept for other images first, then one per pair, in order.
        failures: Pairs without a caption, listed in ``<out>.failed.jsonl``, in the same order.
    """

    records: list[CaptionRecord]
    failures: list[FailedPair]


def generate_captions(
    pairs: Sequence[ImagePair],
    captioner: Captioner,
    name: str,
    out: str | os.PathLike,
    resume: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Generation:
    """Caption pairs and write ``captions.jsonl``.

    Every caption is also appended at once to a journal beside ``out``, which vanishes when the run is
    complete; after an interruption ``resume`` goes on from there.

    Args:
        pairs: Pairs to caption.
        captioner: Writes the captions.
        name: Its registered name, kept in each record.
        out: File to write.
        resume: Keep the captions that ``out`` and its journal have, and try failed pairs again.
        workers: Threads; decoding and OpenCV release the interpreter lock.
        progress: Called with the number of pairs through in this run and how many it has to caption.

    Raises:
        InputError: An image cannot be read, ``out`` cannot be written, the captions kept were written by
            another captioner, or there are captions and ``resume`` is not set.
    """
    with Journal(out, resume) as journal:
        _check_origin(journal, name, captioner.version)
        todo = [pair for pair in pairs if pair.key not in journal.records]
        if progress:
            progress(0, len(todo))
        for done, entry in enumerate(_run(todo, captioner, name, workers), start=1):
            journal.append(entry)
            if progress:
                progress(done, len(todo))
        journal.finish([pair.key for pair in pairs])
    return Generation(list(journal.records.values()), list(journal.failures.values()))


def merge_pairs(files: Iterable[Annotations]) -> list[ImagePair]:
    """List the pairs of one or more annotation files; a pair that several files share comes once.

    Raises:
        InputError: Two files mean different pairs by one key, or disagree about one.
    """
    pairs: dict[str, ImagePair] = {}
    for file in files:
        for pair in file.pairs:
            known = pairs.setdefault(pair.key, pair)
            if _meaning(known) != _meaning(pair):
                raise InputError(
                    f'{file.path}: {pair.key} is {pair.visible} here but {known.visible} in an earlier file, '
                    'or of another size or crop; caption these annotation files into separate outputs'
                )
            if pair.time != known.time and pair.time and known.time:
                raise InputError(
                    f'{file.path}: {pair.key} has time={pair.time} here but {known.time} in an earlier file'
                )
            pairs[pair.key] = replace(known, time=known.time or pair.time)
    return list(pairs.values())


def _meaning(pair: ImagePair) -> tuple:
    return os.path.abspath(pair.visible), os.path.abspath(pair.infrared), pair.width, pair.height, pair.crop


def read_images(pair: ImagePair) -> tuple[np.ndarray, np.ndarray]:
    """Read the two images of a pair.

    Returns:
        BGR image ``(H, W, 3)``, uint8, and infrared image ``(H, W)``, uint8 or uint16 as stored.

    Raises:
        InputError: An image cannot be read or is not of the annotated size; the message names it.
    """
    visible = read_visible(pair.visible, pair.crop)
    infrared = read_infrared(pair.infrared, pair.crop)
    sizes = [f'{image.shape[1]}x{image.shape[0]}' for image in (visible, infrared)]
    if sizes[0] != sizes[1]:
        raise InputError(
            f'{pair.key}: the visible image is {sizes[0]} pixels, the infrared one {sizes[1]}; register and '
            'resize the pair to one size first'
        )
    if sizes[0] != f'{pair.width}x{pair.height}':
        raise InputError(
            f'{pair.key}: the images are {sizes[0]} pixels, the annotations say {pair.width}x{pair.height}; '
            'convert them again for these images'
        )
    return visible, infrared


def caption_pairs(pairs: Sequence[ImagePair], captioner: Captioner, name: str) -> list[Entry]:
    """Read and caption a batch of pairs.

    Raises:
        InputError: An image cannot be read or captioned; the message names it.
    """
    results = captioner.caption_batch([read_images(pair) for pair in pairs])
    if len(results) != len(pairs):
        raise ValueError(f'captioner {name!r} gave {len(results)} results for {len(pairs)} pairs')
    return [
        FailedPair(pair.key, ' '.join(str(result).split()), result.answer, name, captioner.version)
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


def _check_origin(journal: Journal, name: str, version: str) -> None:
    for record in journal.records.values():
        if (record.captioner, record.version) != (name, version):
            raise InputError(
                f'{journal.out}: {record.file_name} was captioned by {record.captioner} {record.version}, '
                f'and {name} {version} would go on; choose another --out'
            )
