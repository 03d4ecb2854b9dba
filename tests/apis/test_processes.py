"""Launchers: what they set, and what is said where they set nothing."""

import argparse
import os
import subprocess
import sys

import pytest
import torch
from helpers import LEAN
from mmengine.config import Config

from mmslg.apis.launch import add_common_arguments
from mmslg.apis.processes import LAUNCHERS, check_launcher, start_processes
from mmslg.errors import InputError
from reproduction.machine import free_port

NAMES = [
    *('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT', 'SLURM_PROCID', 'SLURM_LOCALID'),
    *('SLURM_NTASKS', 'SLURM_NODELIST', 'SLURM_JOB_ID'),
]


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """The environment of the only task of a Slurm job, and a scontrol that knows its node."""
    for name in NAMES:
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    monkeypatch.setenv('MASTER_PORT', free_port())
    monkeypatch.setenv('SLURM_PROCID', '0')
    monkeypatch.setenv('SLURM_LOCALID', '0')
    monkeypatch.setenv('SLURM_NTASKS', '1')
    monkeypatch.setenv('SLURM_NODELIST', 'localhost,node[2-3]')
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\necho "$@" > "$0.called"\nprintf "localhost\\nnode2\\nnode3\\n"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    yield scontrol
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.mark.skipif(torch.cuda.is_available(), reason='with a GPU it is NCCL')
def test_slurm_without_a_gpu(slurm, capsys):
    cfg = Config(dict(launcher='slurm', env_cfg=dict(dist_cfg=dict(backend='nccl'))))
    check_launcher('slurm')
    assert 'RANK' not in os.environ and not torch.distributed.is_initialized()  # a check does not act
    start_processes(cfg)
    assert torch.distributed.get_backend() == 'gloo' and torch.distributed.get_world_size() == 1
    assert [os.environ[name] for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE')] == ['0', '0', '1']
    assert os.environ['MASTER_ADDR'] == 'localhost'
    assert slurm.with_name('scontrol.called').read_text() == 'show hostnames localhost,node[2-3]\n'
    assert cfg.model_wrapper_cfg.device_ids is None
    assert 'no GPU here: gloo in the place of nccl' in capsys.readouterr().out
    start_processes(cfg)  # once is enough


@pytest.mark.parametrize('answer', ['exit 1', 'true'])
def test_slurm_that_knows_no_host(slurm, answer):
    slurm.write_text(f'#!/bin/sh\n{answer}\n')
    with pytest.raises(
        InputError, match=r'`scontrol show hostnames localhost.*` names no host; set MASTER_ADDR'
    ):
        start_processes(Config(dict(launcher='slurm')))
    assert not torch.distributed.is_initialized()


def test_no_scontrol(slurm, monkeypatch):
    monkeypatch.setenv('PATH', '')
    with pytest.raises(InputError, match='names no host'):
        start_processes(Config(dict(launcher='slurm')))


@pytest.mark.parametrize(
    ('launcher', 'message'),
    [
        ('pytorch', 'RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR not set .* start the tool with torchrun'),
        ('slurm', 'SLURM_PROCID, SLURM_LOCALID not set in the environment; start the tool with srun'),
    ],
)
def test_a_launcher_that_has_set_nothing(slurm, monkeypatch, launcher, message):
    for name in ('SLURM_PROCID', 'SLURM_LOCALID'):
        monkeypatch.delenv(name)
    with pytest.raises(InputError, match=f'--launcher {launcher}: {message}'):
        start_processes(Config(dict(launcher=launcher)))
    with pytest.raises(InputError, match=message):
        check_launcher(launcher)


def test_a_rank_that_is_no_number(slurm, monkeypatch):
    monkeypatch.setenv('SLURM_PROCID', 'first')
    with pytest.raises(InputError, match="SLURM_PROCID='first': wanted a whole number"):
        check_launcher('slurm')


@pytest.mark.parametrize('port', ['0', '65536', 'x', ''])
def test_a_port_that_is_none(slurm, monkeypatch, port):
    monkeypatch.setenv('MASTER_PORT', port)
    with pytest.raises(InputError, match=f"MASTER_PORT='{port}': wanted a port from 1 to 65535"):
        check_launcher('slurm')


@pytest.mark.parametrize(('job', 'port'), [('1234567', '24567'), ('', '29500')])
def test_the_port_of_a_job(slurm, monkeypatch, job, port):
    monkeypatch.delenv('MASTER_PORT')
    monkeypatch.setenv('SLURM_JOB_ID', job)
    monkeypatch.setattr(torch.distributed, 'init_process_group', lambda *_, **__: None)
    monkeypatch.setattr('mmslg.apis.processes.init_dist', lambda *_, **__: None)
    start_processes(Config(dict(launcher='slurm')))
    assert os.environ['MASTER_PORT'] == port


def test_processes_that_cannot_meet(slurm, monkeypatch):
    def fail(*_, **__):
        raise torch.distributed.DistStoreError('timed out after 600s\nwaiting for clients')

    monkeypatch.setattr(torch.distributed, 'init_process_group', fail)
    monkeypatch.setattr('mmslg.apis.processes.init_dist', fail)
    with pytest.raises(InputError, match=r'cannot meet at localhost:\d+ \(timed out after 600s waiting for'):
        start_processes(Config(dict(launcher='slurm')))


def test_mpi_is_refused_where_it_is_asked_for(capsys):
    parser = argparse.ArgumentParser()
    add_common_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(['--launcher', 'mpi'])
    assert "invalid choice: 'mpi' (choose from" in capsys.readouterr().err


def test_one_process_starts_nothing():
    check_launcher('none')
    start_processes(Config(dict(launcher='none')))
    start_processes(Config(dict()))
    assert not torch.distributed.is_initialized() and 'mpi' not in LAUNCHERS


def test_importing_leaves_the_environment_alone(root):
    """Also for a notebook: nothing of ours is set before a tool runs."""
    code = (
        'import os\n'
        'import mmslg.apis.inference, mmslg.apis.launch, mmslg.apis.resumption\n'
        "print(*(name for name in ('TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'OMP_WAIT_POLICY', 'LOCAL_RANK')"
        ' if name in os.environ))\n'
        "import runpy; runpy.run_path('tools/train.py', run_name='imported')\n"
        "print('tool:', os.environ['OMP_WAIT_POLICY'])\n"
    )
    env = {name: value for name, value in os.environ.items() if name not in ('OMP_WAIT_POLICY', 'LOCAL_RANK')}
    env.pop('TORCH_FORCE_WEIGHTS_ONLY_LOAD', None)
    env['PYTHONPATH'] = f'{root}:{LEAN}'
    process = subprocess.run([sys.executable, '-c', code], env=env, cwd=root, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-2:] == ['', 'tool: PASSIVE']
