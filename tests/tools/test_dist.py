"""The scripts that start several processes: torchrun's, and Slurm's with a stand-in for srun."""

import os
import runpy
import socket
import sys

import pytest
import torch
from forked import run_forked
from helpers import LEAN
from mmengine.config import Config
from toy import write_toy

from mmslg.apis.processes import start_processes
from mmslg.utils import cli
from reproduction.machine import free_port

SRUN = f"""#!{sys.executable}
import os, subprocess, sys, time

words = sys.argv[1:]
while words[0].startswith('-'):
    words.pop(0)
open(os.environ['SAID'], 'w').write('\\n'.join(sys.argv[1:]))
number = int(next(word for word in sys.argv if word.startswith('--ntasks=')).partition('=')[2])
tasks = []
for rank in range(number if os.environ.get('START') else 0):
    env = dict(os.environ, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank), SLURM_NTASKS=str(number),
               SLURM_NODELIST='node[1-2]', SLURM_JOB_ID=os.environ['START'])
    tasks.append(subprocess.Popen(words, env=env))
while any(task.poll() is None for task in tasks):
    if any(task.poll() for task in tasks):
        for task in tasks:
            task.terminate()
    time.sleep(0.05)
sys.exit(max((task.returncode for task in tasks), default=0))
"""


@pytest.mark.parametrize('gpus', ['0', 'x', '-1', '1.5', '08', ''])
def test_a_number_of_processes_that_is_none(run_tool, gpus):
    for words in (('dist_train.sh', 'config.py', gpus), ('dist_test.sh', 'config.py', 'a.pth', gpus)):
        process = run_tool('bash', f'tools/{words[0]}', *words[1:])
        assert process.returncode == 1
        assert process.stderr == f'error: GPUS={gpus}: wanted a number from 1\n'


def test_too_few_arguments(run_tool):
    process = run_tool('bash', 'tools/dist_test.sh', 'config.py', 'a.pth')
    assert process.returncode == 1 and process.stderr.startswith('usage: ')


@pytest.mark.parametrize(
    ('env', 'message'),
    [
        (dict(NNODES='x'), 'NNODES=x: wanted a number from 1'),
        (dict(NODE_RANK='-1'), 'NODE_RANK=-1: wanted a number from 0'),
        (
            dict(NODE_RANK='2', NNODES='2', MASTER_ADDR='a'),
            'NODE_RANK=2: wanted a number from 0 below NNODES=2',
        ),
        (dict(NNODES='2'), 'NNODES=2 wants MASTER_ADDR, the address of the machine with NODE_RANK=0'),
        (dict(PORT='x'), 'MASTER_PORT=x: wanted a number from 1'),
    ],
)
def test_machines_that_cannot_be(run_tool, env, message):
    process = run_tool('bash', 'tools/dist_train.sh', 'config.py', '1', env=env)
    assert process.returncode == 1 and process.stderr.startswith(f'error: {message}')


@pytest.fixture
def taken():
    """A port that somebody listens at."""
    with socket.create_server(('', 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize('name', ['PORT', 'MASTER_PORT'])
def test_torchruns_port_is_in_use(run_tool, taken, name):
    process = run_tool('bash', 'tools/dist_train.sh', 'config.py', '1', env={name: str(taken)})
    assert process.returncode == 1
    assert process.stderr.startswith(f'error: MASTER_PORT={taken} cannot be opened, maybe another run has it')
    assert process.stderr.count('\n') == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason='with a GPU it is NCCL')
def test_slurms_port_is_in_use(tmp_path, taken):
    def job(rank):
        os.environ.update(MASTER_PORT=str(taken), SLURM_PROCID='0', SLURM_LOCALID='0', SLURM_NTASKS='1',
                          SLURM_NODELIST='a')  # fmt: skip
        cli.run(lambda: start_processes(Config(dict(launcher='slurm'))))

    ((code, text),) = run_forked(job, tmp_path, number=1)
    assert code == 1 and text.splitlines()[-1] == (
        f'error: MASTER_PORT={taken} is in use on 127.0.0.1, maybe by another run; give another, such as '
        f'MASTER_PORT={taken % 60000 + 1}'
    )


@pytest.fixture
def slurm(tmp_path):
    """An environment with stand-ins for srun and scontrol."""
    for name, text in (('srun', SRUN), ('scontrol', '#!/bin/sh\necho localhost\n')):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return dict(PATH=f'{tmp_path}:{os.environ["PATH"]}', SAID=str(tmp_path / 'said'))


def test_words_for_srun(run_tool, slurm, tmp_path, root):
    """Arguments in MMDetection's order; what is set in the environment counts."""
    words = ['gpu', 'my job', 'a config.py', 'work dir', '--cfg-options', 'a=1 2']
    done = run_tool('bash', 'tools/slurm_train.sh', *words, env=dict(slurm, SRUN_ARGS='--time=5 --gres=none'))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'said').read_text().splitlines() == [
        *('--partition=gpu', '--job-name=my job', '--gres=gpu:8', '--ntasks=8', '--ntasks-per-node=8'),
        *('--cpus-per-task=5', '--kill-on-bad-exit=1', '--time=5', '--gres=none'),
        *(sys.executable, '-u', f'{root}/tools/train.py', 'a config.py', '--work-dir', 'work dir'),
        *('--cfg-options', 'a=1 2', '--launcher', 'slurm'),
    ]
    set_ = dict(slurm, GPUS='16', GPUS_PER_NODE='4', CPUS_PER_TASK='2')
    run_tool('bash', 'tools/slurm_test.sh', 'p', 'j', 'a.py', 'a.pth', '--out', 'o.pkl', env=set_)
    assert (tmp_path / 'said').read_text().splitlines() == [
        *('--partition=p', '--job-name=j', '--gres=gpu:4', '--ntasks=16', '--ntasks-per-node=4'),
        *('--cpus-per-task=2', '--kill-on-bad-exit=1'),
        *(sys.executable, '-u', f'{root}/tools/test.py', 'a.py', 'a.pth', '--out', 'o.pkl'),
        *('--launcher', 'slurm'),
    ]


@pytest.mark.parametrize('name', ['GPUS', 'GPUS_PER_NODE', 'CPUS_PER_TASK'])
def test_numbers_for_srun(run_tool, slurm, name):
    for tool, value in (('slurm_train.sh', '0'), ('slurm_test.sh', 'two')):
        done = run_tool('bash', f'tools/{tool}', 'p', 'j', 'a', 'b', env=dict(slurm, **{name: value}))
        assert done.returncode == 1 and done.stderr == f'error: {name}={value}: wanted a number from 1\n'
        assert run_tool('bash', f'tools/{tool}', 'p', 'j', 'a').stderr.startswith('usage: ')


def test_no_slurm(run_tool, tmp_path):
    (tmp_path / 'dirname').symlink_to('/usr/bin/dirname')
    done = run_tool('/bin/bash', 'tools/slurm_run.sh', 'p', 'j', 'train.py', env=dict(PATH=str(tmp_path)))
    assert done.returncode == 1 and 'error: srun not found: this is no machine of a Slurm' in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='with a GPU it is NCCL')
def test_two_tasks_of_slurm_train_one_model(run_tool, slurm, tmp_path, root):
    """Then, in forks, a damaged checkpoint, which ends both with one line."""
    config, run = write_toy(tmp_path), tmp_path / 'run'
    env = dict(slurm, GPUS='2', START='7', MASTER_PORT=free_port(), PYTHONPATH=f'{root}:{LEAN}:{root}/tests')
    words = ['bash', 'tools/slurm_train.sh', 'cpu', 'toy', config, run]
    done = run_tool(*words, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'effective batch 4 = 2 a process x 2 processes x 1 accumulated' in done.stdout + done.stderr
    assert (run / 'iter_4.pth').is_file() and (run / 'run.json').is_file()
    (run / 'iter_4.pth').write_text('no checkpoint at all')

    def task(rank):
        number = str(rank)
        os.environ.update(SLURM_PROCID=number, SLURM_LOCALID=number, SLURM_NTASKS='2', SLURM_NODELIST='a')
        options = ['--work-dir', str(run), '--resume', '--launcher', 'slurm']
        sys.argv = [f'{root}/tools/train.py', config, *options]
        runpy.run_path(sys.argv[0], run_name='__main__')

    ended = run_forked(task, tmp_path / 'resumed')
    text = ''.join(text for _, text in ended)
    assert all(code for code, _ in ended) and 'Traceback' not in text, text
    assert [line for line in text.splitlines() if 'error: ' in line] == [
        f'error: {run}/iter_4.pth: not a checkpoint that can be loaded safely (it is no file of PyTorch, '
        'or a damaged one)'
    ]


@pytest.mark.parametrize(
    ('end', 'code', 'line'),
    [
        ("print('error: no data', file=sys.stderr); sys.exit(3)", 3, 'error: no data\n'),
        (
            'os.kill(os.getpid(), signal.SIGKILL)',
            137,
            'error: the process of rank 0 was ended by SIGKILL; out of memory?\n',
        ),
    ],
)
def test_torchrun_adds_nothing_to_what_a_process_says(tmp_path, root, end, code, line):
    """The other process, which would run for ten minutes, is ended."""
    (tmp_path / 'job.py').write_text(
        f"import os, signal, sys, time\nif os.environ['RANK'] == '0': {end}\ntime.sleep(600)\n"
    )

    def torchrun(rank):
        words = ['--master_port', free_port(), '--nproc_per_node=2', str(tmp_path / 'job.py')]
        sys.argv = [f'{root}/tools/torchrun.py', *words]
        runpy.run_path(sys.argv[0], run_name='__main__')

    assert run_forked(torchrun, tmp_path / 'said', number=1, limit=300) == [(code, line)]
