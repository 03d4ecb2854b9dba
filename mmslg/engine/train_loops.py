"""MMEngine's two loops of training, going on exactly where a checkpoint was written."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.runner import loops

from mmslg.engine.positions import PlacedBatches, place_batches, seed_step


@contextmanager
def _shared_with_workers() -> Iterator[None]:
    """Leave what is there out of garbage collections, which write to every object they look at.

    Data loader workers are forked and share the memory of what was there; each page written to is copied.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class _Resumable:
    """What both loops do: place the batches, seed each step, validate where a checkpoint was due to.

    A checkpoint is written before the validation of its iteration; a resumed run begins with that.
    """

    def __init__(self, runner: Any, dataloader: Any, **kwargs) -> None:
        per_rank = runner._randomness_cfg.get('diff_rank_seed', False)
        loader = runner.build_dataloader(dataloader, seed=runner.seed, diff_rank_seed=per_rank)
        self.seed = runner.seed
        super().__init__(runner, place_batches(loader, self.seed), **kwargs)

    def begin(self, first: int, skip: int, endless: bool) -> None:
        if isinstance(self.dataloader.batch_sampler, PlacedBatches):
            self.dataloader.batch_sampler.begin(first, skip, endless)

    def run_iter(self, *args) -> None:
        seed_step(self.seed, self._iter)
        super().run_iter(*args)

    def validate(self, done: int, limit: int) -> None:
        """Validate if it is due after so many epochs or iterations."""
        self._decide_current_val_interval()
        due = done >= self.val_begin and (done % self.val_interval == 0 or done == limit)
        if self.runner.val_loop is not None and due:
            seed_step(self.seed, self._iter)
            self.runner.val_loop.run()


class IterLoop(_Resumable, loops.IterBasedTrainLoop):
    """Training by iterations. Passes over the data follow each other without a pause.

    Args:
        kwargs: As MMEngine's ``IterBasedTrainLoop``.
    """

    @_shared_with_workers()
    def run(self) -> Any:
        """Launch training."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.begin(self._iter, self._iter, endless=True)
        batches = iter(self.dataloader)
        if self._iter:
            self.validate(self._iter, self._max_iters)
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(batches))
            self.validate(self._iter, self._max_iters)
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model


class EpochLoop(_Resumable, loops.EpochBasedTrainLoop):
    """Training by epochs, which goes on within one as well.

    Args:
        kwargs: As MMEngine's ``EpochBasedTrainLoop``.
    """

    @_shared_with_workers()
    def run(self) -> Any:
        """Launch training."""
        self.runner.call_hook('before_train')
        if self._epoch and self._iter == self._epoch * len(self.dataloader):
            self.validate(self._epoch, self._max_epochs)
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self.validate(self._epoch, self._max_epochs)
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train to the end of an epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        skip = self._iter - self._epoch * len(self.dataloader)
        self.begin(self._iter, skip, endless=False)
        for number, batch in enumerate(self.dataloader, skip):
            self.run_iter(number, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
