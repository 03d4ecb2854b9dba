"""Batches that begin anywhere, and samples that draw by their position."""

import gc
import pickle
import random
from typing import ClassVar

import numpy as np
import pytest
import torch
from helpers import run_here
from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from noisy_toy import NoisyData
from torch.utils.data import BatchSampler, DataLoader, IterableDataset
from toy import write_toy

from mmslg.datasets.transforms import DropModality
from mmslg.engine import positions
from mmslg.engine.positions import place_batches, seed_step


def loader(sampler=DefaultSampler, batches=BatchSampler, workers=0):
    data = NoisyData({})
    batch_sampler = batches(sampler(data, seed=3), 2, False)
    return place_batches(DataLoader(data, batch_sampler=batch_sampler, num_workers=workers), seed=5)


def take(loader, first, number, **kwargs):
    loader.batch_sampler.begin(first, kwargs.pop('skip', first), **kwargs)
    found = [batch['inputs'] for batch, _ in zip(loader, range(number))]
    return torch.stack(found)


@pytest.mark.parametrize('sampler', [DefaultSampler, InfiniteSampler])
@pytest.mark.parametrize('batches', [BatchSampler, AspectRatioBatchSampler])
def test_begin_anywhere(sampler, batches):
    whole = take(loader(sampler, batches), 0, 20, endless=True)
    for first in (1, 5, 6, 13):
        assert torch.equal(take(loader(sampler, batches), first, 20 - first, endless=True), whole[first:])
    assert len(torch.unique(whole[:6].reshape(-1, 3), dim=0)) == 12  # no noise comes twice


def test_begin_within_an_epoch():
    first, again = loader(), loader()
    whole = take(first, 12, 9, skip=0, endless=False)
    assert len(whole) == 6 == len(first)
    assert torch.equal(take(again, 15, 9, skip=3, endless=False), whole[3:])


def test_which_image_is_missing_goes_by_the_position(monkeypatch):
    """A run that is resumed at its third batch drops what the whole one drops there."""
    drop, names = DropModality(prob=0.7), [None, 'rgb', 'ir']

    def dropped(self, index):
        return dict(inputs=torch.tensor(names.index(drop(dict(img=np.ones((2, 2, 4))))['dropped'])))

    monkeypatch.setattr(NoisyData, '__getitem__', dropped)
    whole = take(loader(), 0, 20, endless=True)
    assert set(whole.flatten().tolist()) == {0, 1, 2}
    assert torch.equal(take(loader(), 3, 17, endless=True), whole[3:])


def test_workers_change_nothing():
    assert torch.equal(take(loader(), 0, 7, endless=True), take(loader(workers=2), 0, 7, endless=True))


def test_two_processes_draw_as_one(monkeypatch):
    whole = take(
        loader(lambda data, seed: range(12), lambda s, n, d: BatchSampler(s, 4, d)), 0, 3, endless=True
    )
    found = []
    for rank in range(2):
        monkeypatch.setattr(positions, 'get_rank', lambda rank=rank: rank)
        monkeypatch.setattr(positions, 'get_world_size', lambda: 2)
        found.append(take(loader(lambda data, seed, r=rank: range(r, 12, 2)), 0, 3, endless=True))
    assert torch.equal(torch.stack(found, 2).reshape(3, 4, 3), whole)


def test_before_begin_there_are_no_batches():
    assert list(loader()) == []


def test_the_dataset_is_itself():
    data = loader().dataset
    data.pipeline = [1]
    assert data.metainfo == {} and data._dataset.pipeline == [1] and len(data) == 12
    assert data[3]['inputs'].shape == (3,) and not hasattr(data, 'full_init')
    assert pickle.loads(pickle.dumps(data)).pipeline == [1]


def test_a_stream_stays_as_it_is():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(3))

    stream = DataLoader(Stream())
    assert place_batches(stream, 0) is stream


def draw():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_steps_of_a_process(monkeypatch):
    found = []
    for rank, iteration in ((0, 7), (0, 8), (1, 7)):
        monkeypatch.setattr(positions, 'get_rank', lambda rank=rank: rank)
        seed_step(0, iteration)
        found.append(draw())
    assert all(len({values[i] for values in found}) == 3 for i in range(3))
    monkeypatch.setattr(positions, 'get_rank', lambda: 0)
    seed_step(0, 7)
    assert draw() == found[0]


@HOOKS.register_module(force=True)
class FrozenCounter(Hook):
    """Counts what garbage collections leave alone while a run trains."""

    counts: ClassVar[list] = []

    def before_train_iter(self, *args, **kwargs):
        self.counts.append(gc.get_freeze_count())


@pytest.mark.parametrize(
    'loop',
    [
        "dict(type='IterBasedTrainLoop', max_iters=4)",
        "dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=1)",
    ],
)
def test_no_collection_writes_to_what_the_workers_share(tmp_path, monkeypatch, loop):
    FrozenCounter.counts.clear()
    config = write_toy(tmp_path, f"train_cfg = {loop}\ncustom_hooks = [dict(type='FrozenCounter')]\n")
    assert not run_here('train.py', monkeypatch, config, '--work-dir', tmp_path / 'run')
    assert min(FrozenCounter.counts) > 1000 and gc.get_freeze_count() == 0
