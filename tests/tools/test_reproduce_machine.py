"""tools/reproduce.py: what its commands get of the machine: interpreter, cores, GPUs, ports."""

import os
import sys

import pytest
import torch
from cells_at_once import Done, in_tool, over_two_seeds
from helpers import ROOT, run_here

from mmslg.errors import InputError
from reproduction.machine import free_port, gpu_slots, share_of_cores
from reproduction.overrides import python


class Noted(Done):
    """It keeps its environment; several processes fail."""

    environments: list = []

    def __init__(self, words, env, **options):
        super().__init__(words, **options)
        Noted.environments.append(env)
        if words[0] == 'bash':
            self.returncode = 1


@pytest.fixture
def environments(commands, monkeypatch):
    """The environments of the commands that were started."""
    Noted.environments = []
    monkeypatch.setattr('reproduction.running.Popen', Noted)
    for name in ('OMP_NUM_THREADS', 'CUDA_VISIBLE_DEVICES'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(12)))
    return Noted.environments


def test_a_virtual_environment_is_not_the_python_that_made_it(tmp_path, monkeypatch):
    """One is a link to the other, and has other packages."""
    for name in ('base', 'venv'):
        (tmp_path / name).mkdir()
    base, own = tmp_path / 'base/python', tmp_path / 'venv/python'
    base.write_text('')
    base.chmod(0o755)
    own.symlink_to(base)
    (tmp_path / 'venv/python3').symlink_to('python')
    monkeypatch.setattr(sys, 'executable', str(own))
    monkeypatch.setenv('PATH', str(base.parent))
    assert python() == str(own)
    monkeypatch.setenv('PATH', str(own.parent))
    assert python() == 'python'
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'venv/python3'))
    assert python() == 'python'


def test_cells_at_once_have_gpus_of_their_own(pairs, tmp_path, monkeypatch, capsys, environments):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 3)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,5,7')
    words = over_two_seeds(pairs, tmp_path)
    code, _, err = in_tool(monkeypatch, capsys, '--jobs', 4, *words)
    assert code == 1 and '--jobs 4, --gpus 1: wanted 4 GPUs, there are 3' in err and not environments
    code, _, err = in_tool(monkeypatch, capsys, '--jobs', 2, *words)
    assert not code, err
    assert [env['CUDA_VISIBLE_DEVICES'] for env in environments] == ['4', '5', '4', '5']
    assert {env['OMP_NUM_THREADS'] for env in environments} == {'6'}
    assert {env['PYTHON'] for env in environments} == {sys.executable}
    assert not in_tool(monkeypatch, capsys, '--jobs', 4, '--report', *words)[0]  # where nothing is run


def test_a_slot_is_free_again_when_its_cell_has_ended(pairs, tmp_path, monkeypatch, capsys, environments):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    assert not in_tool(monkeypatch, capsys, *over_two_seeds(pairs, tmp_path))[0]
    assert [env['CUDA_VISIBLE_DEVICES'] for env in environments] == ['0'] * 4


def test_without_a_gpu_nothing_is_set(pairs, tmp_path, monkeypatch, capsys, environments):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    assert not in_tool(monkeypatch, capsys, '--jobs', 2, *over_two_seeds(pairs, tmp_path))[0]
    assert len(environments) == 4 and not any('CUDA_VISIBLE_DEVICES' in env for env in environments)


def test_gpus_of_a_cell_lie_together(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 4)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    assert gpu_slots(2, 2) == ['0,1', '2,3']
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', 'GPU-a, GPU-b,3,1')
    assert gpu_slots(2, 2) == ['GPU-a,GPU-b', '3,1']
    with pytest.raises(InputError, match='wanted 6 GPUs, there are 4'):
        gpu_slots(2, 3)


def test_several_processes_meet_at_a_port_that_is_free(pairs, tmp_path, monkeypatch, capsys, environments):
    """Whatever the environment says: two tables on one machine have the same numbers of cells."""
    ports = iter(['41001', '41002'])
    monkeypatch.setattr('reproduction.running.free_port', lambda: next(ports))
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    for name in ('PORT', 'MASTER_PORT'):
        monkeypatch.setenv(name, '29500')
    words = over_two_seeds(pairs, tmp_path)
    assert in_tool(monkeypatch, capsys, '--gpus', 2, '--jobs', 2, *words)[0] == 1
    assert [env['MASTER_PORT'] for env in environments] == ['41001', '41002']
    assert [env['PORT'] for env in environments] == ['41001', '41002']
    assert {env['PYTHON'] for env in environments} == {sys.executable}
    assert {env['OMP_NUM_THREADS'] for env in environments} == {'3'}


def test_a_port_and_cores():
    assert 1024 <= int(free_port()) < 65536
    assert share_of_cores(10**6) == 1


def test_a_script_names_the_interpreter_where_none_is_active(monkeypatch, capsys):
    """The scripts of several processes would take the python of the PATH."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr('reproduction.cells.python', lambda: '/opt/my env/python')
    words = ['flir', '--dry-run', '--seeds', 0, '--work-dir', 'work_dirs/none', '--gpus', 4]
    assert not run_here('reproduce.py', monkeypatch, *words)
    (line, *_) = (line for line in capsys.readouterr().out.splitlines() if 'dist_train.sh' in line)
    assert line.startswith("MASTER_PORT=29500 PYTHON='/opt/my env/python' ")
