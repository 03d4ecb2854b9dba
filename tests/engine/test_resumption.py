"""Runs that are killed and resumed end as those that were not, bit for bit."""

import os
import re
import runpy
import signal
import sys
from pathlib import Path

import mmdet.datasets  # noqa: F401  before the fork: its import is paid once
import numpy as np
import pytest
import torch
from forked import run_forked
from helpers import ROOT
from mmengine.config import Config
from mmengine.fileio.backends import LocalBackend
from noisy_toy import NoisyData, write_noisy

from mmslg.engine.checkpoints import read_checkpoint
from mmslg.engine.runner import PairRunner
from mmslg.engine.train_loops import EpochLoop


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def at_step(number):
    """Plant a kill before a step."""

    def plant():
        run_iter = EpochLoop.__bases__[0].run_iter

        def killed(self, *args):
            die() if self._iter == number else run_iter(self, *args)

        EpochLoop.__bases__[0].run_iter = killed

    return plant


def writing(number, part):
    """Plant a kill in the writing of a checkpoint, with so much of it written."""

    def plant():
        whole = LocalBackend.put

        def put(self, data, path):
            if f'_{number}-part' not in path:
                return whole(self, data, path)
            with open(path, 'wb') as file:
                file.write(data[: int(len(data) * part)])
            die()

        LocalBackend.put = put

    return plant


def named(number):
    """Plant a kill when a checkpoint is whole, and not called the last yet."""

    def plant():
        save = PairRunner.save_checkpoint

        def killed(self, folder, name, **kwargs):
            save(self, folder, name, **kwargs)
            if name.endswith(f'_{number}.pth'):
                die()

        PairRunner.save_checkpoint = killed

    return plant


def deleting(number):
    """Plant a kill when the next is called the last, and this one is about to be deleted."""

    def plant():
        unlink = Path.unlink
        Path.unlink = lambda self, **kw: die() if self.name.endswith(f'_{number}.pth') else unlink(self, **kw)

    return plant


@pytest.fixture
def train(tmp_path):
    def run(config, name, *args, processes=1, plant=lambda: None):
        def job(rank):
            torch.set_num_threads(1)
            np.random.seed()  # a process of its own knows nothing of this one
            Config.pretty_text = 'config = 1'  # formatting it takes longest
            plant()
            launcher = ['--launcher', 'pytorch'] if processes > 1 else []
            sys.argv = ['train.py', config, '--work-dir', str(tmp_path / name), *launcher, *args]
            runpy.run_path(str(ROOT / 'tools/train.py'), run_name='__main__')

        ended = run_forked(job, tmp_path / 'said', processes)
        # The first to be killed may be either: the other is then ended with 15.
        return next((each for each in ended if each[0] == -signal.SIGKILL), ended[0])

    return run


def final(folder):
    checkpoint = read_checkpoint((folder / 'last_checkpoint').read_text())
    return {key: checkpoint[key] for key in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')}


def assert_same(a, b, path=''):
    assert type(a) is type(b), path
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    elif isinstance(a, (dict, list, tuple)):
        assert len(a) == len(b), path
        for key in a if isinstance(a, dict) else range(len(a)):
            assert_same(a[key], b[key], f'{path}/{key}')
    else:
        assert a == b, path


@pytest.mark.parametrize(
    ('kind', 'processes', 'plants'),
    [
        ('iterations', 1, [at_step(7), writing(8, 0.5)]),
        ('infinite', 1, [at_step(5)]),
        ('epochs', 1, [at_step(8), writing(2, 0.99)]),
        ('within_epochs', 1, [named(4), deleting(2), writing(6, 0), at_step(8)]),
        ('iterations', 2, [writing(5, 0.5)]),
        ('within_epochs', 2, [at_step(4)]),
    ],
)
def test_killed_and_resumed(train, tmp_path, kind, processes, plants):
    config = write_noisy(tmp_path, kind)
    code, out = train(config, 'whole', processes=processes)
    assert code == 0, out[-2000:]
    for plant in plants:
        code, out = train(config, 'killed', '--resume', processes=processes, plant=plant)
        assert code == -signal.SIGKILL, out[-2000:]
    workers = ['--cfg-options', 'train_dataloader.num_workers=1']
    code, out = train(config, 'killed', '--resume', *workers, processes=processes)
    assert code == 0 and 'settings: train_dataloader.num_workers was 0 and is 1' in out, out[-2000:]
    assert_same(final(tmp_path / 'whole'), final(tmp_path / 'killed'))
    names = [{p.name for p in (tmp_path / run).glob('*.*')} for run in ('whole', 'killed')]
    assert {n for n in names[0] if not n.isdigit()} == {n for n in names[1] if not n.isdigit()}
    left = [p.name for p in (tmp_path / 'killed').iterdir() if '-part-' in p.name]
    assert not left and len(list((tmp_path / 'killed').glob('*.pth'))) == 2


def test_an_epoch_goes_on_counting(train, tmp_path):
    config = write_noisy(tmp_path, 'within_epochs')
    assert train(config, 'run', plant=at_step(8))[0] == -signal.SIGKILL
    code, out = train(config, 'run', '--resume', '--cfg-options', 'log_processor.by_epoch=True')
    steps = re.findall(r'Epoch\(train\) +\[2\]\[(.)/6\]', out)
    assert code == 0 and steps == ['3', '4', '5', '6'], out[-2000:]


def test_nothing_is_decoded_on_the_way(train, tmp_path):
    config = write_noisy(tmp_path, 'iterations')
    assert train(config, 'run', plant=at_step(6))[0] == -signal.SIGKILL

    def plant():
        get = NoisyData.__getitem__
        NoisyData.__getitem__ = lambda self, index: print('sample made', flush=True) or get(self, index)

    code, out = train(config, 'run', '--resume', plant=plant)
    steps, validations = 3, 2  # one was due at the checkpoint
    assert code == 0 and out.count('sample made') == 2 * steps + 12 * validations, out[-2000:]


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('randomness.seed=1', 'randomness.seed was 0 and is 1'),
        ('train_dataloader.batch_size=4', 'train_dataloader.batch_size was 2 and is 4'),
        ('optim_wrapper.optimizer.lr=0.5', 'optim_wrapper.optimizer.lr was 0.01 and is 0.5'),
    ],
)
def test_another_run_is_refused(train, tmp_path, option, message):
    config = write_noisy(tmp_path, 'iterations')
    assert train(config, 'run', plant=at_step(2))[0] == -signal.SIGKILL
    code, out = train(config, 'run', '--resume', '--cfg-options', option)
    assert code == 1 and f'iter_2.pth: is of another run ({message}); resume with config' in out


def test_another_number_of_processes_is_refused(train, tmp_path):
    config = write_noisy(tmp_path, 'iterations')
    assert train(config, 'run', plant=at_step(2))[0] == -signal.SIGKILL
    code, out = train(config, 'run', '--resume', processes=2)
    assert code == 1 and 'there were 1 processes and are 2' in out


def test_a_seed_left_open_is_the_one_of_the_run(train, tmp_path):
    config = write_noisy(tmp_path, 'iterations', 'randomness = dict(seed=None)\n')
    assert train(config, 'run', plant=at_step(5))[0] == -signal.SIGKILL
    assert train(config, 'run', '--resume', plant=at_step(7))[0] == -signal.SIGKILL
    seed = read_checkpoint((tmp_path / 'run/last_checkpoint').read_text())['meta']['seed']
    assert train(config, 'run', '--resume')[0] == 0
    assert train(config, 'whole', '--cfg-options', f'randomness.seed={seed}')[0] == 0
    assert_same(final(tmp_path / 'whole'), final(tmp_path / 'run'))


def test_an_older_checkpoint_goes_on_and_says_so(train, tmp_path):
    config = write_noisy(tmp_path, 'iterations')
    assert train(config, 'run', plant=at_step(3))[0] == -signal.SIGKILL
    file = tmp_path / 'run/iter_3.pth'
    checkpoint = read_checkpoint(str(file))
    del checkpoint['identity']
    torch.save(checkpoint, file)
    code, out = train(config, 'run', '--resume')
    assert code == 0 and 'does not say of which run it is' in out, out[-2000:]


def test_checkpoints_between_accumulated_gradients_are_named(train, tmp_path):
    config = write_noisy(tmp_path, 'iterations')
    out = train(config, 'run', '--cfg-options', 'optim_wrapper.accumulative_counts=2', plant=at_step(1))[1]
    assert 'checkpoints lie between 2 accumulated gradients' in out
