"""The processes of one run, as torchrun or Slurm started them."""

from __future__ import annotations

import os
import subprocess

import torch
from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed

from mmslg.errors import InputError

LAUNCHERS = ('none', 'pytorch', 'slurm')

_WANTED = {
    'pytorch': ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    'slurm': ('SLURM_PROCID', 'SLURM_LOCALID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
}
_STARTERS = {'pytorch': 'torchrun or tools/dist_train.sh', 'slurm': 'srun'}


def check_launcher(launcher: str) -> None:
    """Check that the launcher has left its traces in the environment.

    Raises:
        InputError: The line names what is missing, and what sets it; or there is no such launcher.
    """
    if launcher not in LAUNCHERS:
        raise InputError(f'launcher={launcher!r}: wanted one of {", ".join(LAUNCHERS)}')
    wanted = _WANTED.get(launcher, ())
    missing = [name for name in wanted if name not in os.environ]
    if missing:
        raise InputError(
            f'--launcher {launcher}: {", ".join(missing)} not set in the environment; start the tool with '
            f'{_STARTERS[launcher]}, or leave --launcher out for one process'
        )
    for name in wanted:
        if name not in ('MASTER_ADDR', 'SLURM_NODELIST') and not os.environ[name].isdigit():
            raise InputError(f'--launcher {launcher}: {name}={os.environ[name]!r}: wanted a whole number')
    port = os.environ.get('MASTER_PORT', '1')
    if launcher != 'none' and not (port.isdigit() and 0 < int(port) < 65536):
        raise InputError(f'--launcher {launcher}: MASTER_PORT={port!r}: wanted a port from 1 to 65535')


def start_processes(cfg: Config) -> None:
    """Join the processes of this run: over NCCL, or over Gloo where there is no GPU, which is said.

    The config's launcher is told; without one nothing happens.

    Raises:
        InputError: The launcher has not set what it should, or the processes cannot meet.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none':
        return
    if not torch.cuda.is_available():  # MMEngine would ask for one GPU a process
        cfg.model_wrapper_cfg = {
            'type': 'MMDistributedDataParallel',
            'device_ids': None,
            'broadcast_buffers': False,
            'find_unused_parameters': cfg.get('find_unused_parameters', False),
        }
    if is_distributed():
        return
    check_launcher(launcher)
    if launcher == 'slurm':
        _take_slurm_environment()
    try:
        _init_process_group(cfg.get('env_cfg', {}).get('dist_cfg', {}))
    except torch.distributed.DistError as error:
        raise InputError(_reason(str(error))) from error


def _init_process_group(options: dict) -> None:
    if torch.cuda.is_available():
        init_dist('pytorch', **options)
        return
    if os.environ['RANK'] == '0':
        print('no GPU here: gloo in the place of nccl', flush=True)
    torch.distributed.init_process_group('gloo')


def _reason(error: str) -> str:
    host, port = os.environ['MASTER_ADDR'], os.environ['MASTER_PORT']
    if 'EADDRINUSE' in error:
        return (
            f'MASTER_PORT={port} is in use on {host}, maybe by another run; give another, such as '
            f'MASTER_PORT={int(port) % 60000 + 1}'
        )
    return (
        f'the processes of the run cannot meet at {host}:{port} ({" ".join(error.split())[:200]}); check '
        'MASTER_ADDR and MASTER_PORT, and that all of them were started'
    )


def _take_slurm_environment() -> None:
    """Say in torch's words what Slurm says in its own; what is set already stays.

    The port follows from the job, so that two jobs on one machine do not meet.
    """
    env = os.environ
    env['RANK'], env['WORLD_SIZE'] = env['SLURM_PROCID'], env['SLURM_NTASKS']
    env['LOCAL_RANK'] = env['SLURM_LOCALID']
    job = env.get('SLURM_JOB_ID', '')
    env.setdefault('MASTER_PORT', str(20000 + int(job) % 10000) if job.isdigit() else '29500')
    if 'MASTER_ADDR' in env:
        return
    nodes = env['SLURM_NODELIST']
    try:
        answer = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True)
        lines = answer.stdout.split()
    except OSError:
        lines = []
    if not lines:
        raise InputError(
            f'--launcher slurm: `scontrol show hostnames {nodes}` names no host; set MASTER_ADDR to the first'
        )
    env['MASTER_ADDR'] = lines[0]
