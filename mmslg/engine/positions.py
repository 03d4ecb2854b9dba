"""Random numbers by position: what a sample or a step draws depends on where in the run it stands alone."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import print_log
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset

_SAMPLE, _STEP = range(2)


def seed_step(seed: int, iteration: int) -> None:
    """Seed random, numpy and torch (all devices) for one iteration of this process.

    So there is no state of generators to save: denoising queries, dropout and the like of an iteration are
    the same after a resumption, and whatever a validation has drawn before.
    """
    words = _words(_STEP, seed, iteration, get_rank())
    _seed_python(words)
    torch.manual_seed(_number(words))


def place_batches(loader: DataLoader, seed: int) -> DataLoader:
    """Return the loader with batches that can begin anywhere, and samples seeded by their position.

    Args:
        loader: As MMEngine builds it.
        seed: Of the run.

    Returns:
        A loader of the same parts: its ``batch_sampler`` is a :class:`PlacedBatches`, and its ``dataset``
        seeds before it makes a sample, which so depends neither on the number of workers nor on when they
        were started. A loader without batches of indices comes back as it is, which is logged.
    """
    if loader.batch_sampler is None or isinstance(loader.dataset, IterableDataset):
        print_log('train_dataloader has no batches of indices: a resumed run sees other data', 'current')
        return loader
    parts = ('num_workers', 'collate_fn', 'pin_memory', 'timeout', 'worker_init_fn', 'generator')
    parts += ('multiprocessing_context', 'prefetch_factor', 'persistent_workers', 'pin_memory_device')
    parts += tuple({'in_order'} & set(inspect.signature(DataLoader).parameters))
    return DataLoader(
        _SeededDataset(loader.dataset, seed),
        batch_sampler=PlacedBatches(loader.batch_sampler),
        **{name: getattr(loader, name) for name in parts},
    )


class PlacedBatches(BatchSampler):
    """Batches of (position, index), from any batch of a run on.

    The position of a sample counts over all processes, so that two processes with two samples each draw the
    same as one with four. Batches before the first are replayed as indices: nothing is decoded.

    Args:
        batches: The batch sampler, whose sampler may be endless or not.
    """

    def __init__(self, batches: BatchSampler) -> None:
        self.batches = batches
        self.sampler = getattr(batches, 'sampler', None)
        self.batch_size = batches.batch_size
        self.drop_last = getattr(batches, 'drop_last', False)
        self._span: tuple[int, int, bool] | None = None

    def begin(self, first: int, skip: int, endless: bool) -> None:
        """Say where the next iteration begins; before this there are no batches.

        Args:
            first: Number of the first batch in the run.
            skip: Batches to leave out before it: all since the start of the run or of its epoch.
            endless: Whether pass follows pass, or one is all.
        """
        self._span = first, skip, endless

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        if self._span is None:
            return
        first, skip, endless = self._span
        number = first - skip
        for epoch in count():
            if endless and hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)
            start = number
            for batch in self.batches:
                if number >= first:
                    yield self._place(number, batch)
                number += 1
            if not endless or number == start:
                return

    def __len__(self) -> int:
        return len(self.batches)

    def _place(self, number: int, batch: list[int]) -> list[tuple[int, int]]:
        base, rank, processes = number * self.batch_size, get_rank(), get_world_size()
        return [((base + slot) * processes + rank, index) for slot, index in enumerate(batch)]


class _SeededDataset(Dataset):
    """A dataset that is asked by (position, index), and is itself in all other respects."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.__dict__.update(_dataset=dataset, _seed=seed)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or '_dataset' not in self.__dict__:  # while it is unpickled
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._dataset, name, value)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, place: tuple[int, int] | int) -> Any:
        if not isinstance(place, tuple):
            return self._dataset[place]
        position, index = place
        words = _words(_SAMPLE, self._seed, position, index)
        _seed_python(words)
        torch.default_generator.manual_seed(_number(words))
        return self._dataset[index]

    def __getitems__(self, places: list[tuple[int, int]]) -> list:
        return [self[place] for place in places]


def _words(*key: int) -> np.ndarray:
    return np.random.SeedSequence(key).generate_state(4)


def _number(words: np.ndarray) -> int:
    return int(words[0]) | int(words[1]) << 32


def _seed_python(words: np.ndarray) -> None:
    random.seed(words.tobytes())
    np.random.seed(words)
