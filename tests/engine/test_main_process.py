"""What the main process reads, all have; where it fails, it alone says so."""

import multiprocessing
import runpy
import sys

import numpy as np
import pytest
import torch
from forked import run_forked
from helpers import ROOT
from mmengine.logging import HistoryBuffer
from toy import write_toy

from mmslg.engine.checkpoints import read_checkpoint
from mmslg.engine.main_process import from_main_process
from mmslg.errors import InputError

MADE = {
    'state_dict': {
        'half': torch.arange(6).bfloat16().view(2, 3).t(),
        'one': torch.tensor(3.0),
        'none': torch.zeros(0, 4),
        'flag': torch.tensor([True, False]),
        'parameter': torch.nn.Parameter(torch.randn(2)),
    },
    'optimizer': {'state': {0: {'step': torch.tensor(7), 'steps': [torch.tensor([1j])]}}},
    'log': HistoryBuffer([1.0, 2.0], [1, 1]),
    'classes': ('person', 'car'),
}


def started(job):
    def run(rank):
        torch.distributed.init_process_group('gloo')
        job(rank)

    return run


def test_one_process_asks_itself():
    value = object()
    assert from_main_process(lambda: value) is value


def test_values_and_tensors_reach_every_process(tmp_path):
    def job(rank):
        found = from_main_process(lambda: print('read here') or MADE)
        torch.save(found, tmp_path / f'{rank}.pth')

    results = run_forked(started(job), tmp_path / 'out')
    assert [code for code, _ in results] == [0, 0], results
    assert 'read here' in results[0][1] and 'read here' not in results[1][1]
    found = read_checkpoint(str(tmp_path / '1.pth'))
    for part in (MADE['state_dict'], MADE['optimizer']['state'][0]):
        read = found['state_dict' if part is MADE['state_dict'] else 'optimizer']
        read = read if 'one' in read else read['state'][0]
        for name, value in part.items():
            value, got = (v[0] if isinstance(v, list) else v for v in (value, read[name]))
            assert torch.equal(got, value) and got.dtype == value.dtype, name
    assert np.array_equal(found['log'].data[0], [1.0, 2.0]) and found['classes'] == ('person', 'car')


def test_a_bug_in_the_main_process_hangs_nobody(tmp_path):
    from mmslg.utils import cli

    def job(rank):
        cli.PATIENCE = 0.1
        cli.run(lambda: from_main_process(lambda: {}['key']))

    results = run_forked(started(job), tmp_path)
    assert results[0][0] == 1 and results[0][1].endswith("KeyError: 'key'\n")
    assert results[1][0] in (1, 143) and results[1][1] == ''


@pytest.mark.parametrize('error', [InputError('no such checkpoint'), PermissionError(13, 'denied', 'a.pth')])
def test_a_failure_is_said_once_and_ends_all(tmp_path, error):
    """Also where nobody ends the others: they do not hang, and leave in silence."""
    from mmslg.utils import cli

    def fail():
        raise error

    def job(rank):
        cli.PATIENCE = 0.1
        cli.run(lambda: from_main_process(fail))

    results = run_forked(started(job), tmp_path)
    text = 'error: no such checkpoint' if isinstance(error, InputError) else 'error: a.pth: '
    assert results[0][0] == 1 and results[0][1].startswith(text) and results[0][1].count('\n') == 1
    assert results[1][0] in (1, 143) and results[1][1] == ''


def test_one_line_for_an_error_of_all(tmp_path):
    """The other processes leave the first time to say it; then they are ended."""
    from mmslg.utils import cli

    barrier = multiprocessing.get_context('fork').Barrier(2)  # none is ended before it has begun

    def fail():
        barrier.wait()
        raise InputError('no such data')

    results = run_forked(lambda rank: cli.run(fail), tmp_path)
    assert results == [(1, 'error: no such data\n'), (143, '')]


def train(*arguments):
    """A job: train.py in this process; rank 1 could read no checkpoint."""

    def job(rank):
        sys.argv = [str(ROOT / 'tools/train.py'), *map(str, arguments), '--launcher', 'pytorch']
        if rank:
            torch.load = None
        runpy.run_path(sys.argv[0], run_name='__main__')

    return job


@pytest.mark.skipif(torch.cuda.is_available(), reason='with a GPU it is NCCL')
def test_a_run_of_two_processes_is_resumed(tmp_path):
    config = write_toy(tmp_path, 'optim_wrapper = dict(optimizer=dict(momentum=0.9))\n')
    run = [config, '--work-dir', tmp_path / 'run']
    first = run_forked(train(*run), tmp_path / 'first')
    assert [code for code, _ in first] == [0, 0], first
    more = ['--resume', '--cfg-options', 'train_cfg.max_iters=6']
    second = run_forked(train(*run, *more), tmp_path / 'second')
    assert [code for code, _ in second] == [0, 0], second
    assert 'resumed epoch: 0, iter: 4' in second[0][1]
    assert read_checkpoint(str(tmp_path / 'run/iter_6.pth'))['meta']['iter'] == 6
    (tmp_path / 'run/iter_6.pth').write_text('no checkpoint at all\n')
    third = run_forked(train(*run, '--resume', '--cfg-options', 'train_cfg.max_iters=8'), tmp_path / 'third')
    assert third[0][0] == 1 and third[1] == (third[1][0], '')
    assert third[0][1].splitlines()[-1].startswith('error: ') and 'it is no file of PyTorch' in third[0][1]
    assert third[0][1].count('error: ') == 1 and 'Traceback' not in third[0][1]
