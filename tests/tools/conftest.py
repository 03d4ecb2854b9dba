"""Tools run in this process on a toy model."""

import runpy
import sys
from pathlib import Path

import pytest
from cells_at_once import Done
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from toy import write_toy


def forget():
    """Forget the runs of this process: their loggers hold streams that are gone."""
    for kind in (DefaultScope, MessageHub, MMLogger, Visualizer):
        kind._instance_dict.clear()


@pytest.fixture
def run_toy(monkeypatch, capfd, tmp_path, root):
    """Run a tool in this process; returns its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')  # run() sets it: undone after the test

    def run(name, *args):
        forget()
        path = str(root / 'tools' / f'{name}.py')
        monkeypatch.setattr(sys, 'argv', [path, *map(str, args)])
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(path, run_name='__main__')
        out, err = capfd.readouterr()
        return caught.value.code, out, err

    yield run
    forget()


@pytest.fixture
def run_train(run_toy):
    return lambda *args: run_toy('train', *args)


@pytest.fixture
def run_test(run_toy):
    return lambda *args: run_toy('test', *args)


@pytest.fixture
def toy_config(tmp_path):
    return write_toy(tmp_path)


@pytest.fixture
def toy_run(run_train, toy_config, tmp_path):
    """The work folder of a finished run."""
    code, out, err = run_train(toy_config, '--work-dir', tmp_path / 'run')
    assert code == 0, out[-2000:] + err[-2000:]
    return tmp_path / 'run'


@pytest.fixture
def commands(monkeypatch):
    """Commands that leave figures at once, 0.25 for seed 0, 0.5 for seed 1; those that were started."""
    Done.started, Done.code = [], 0
    monkeypatch.setattr('reproduction.running.Popen', Done)
    monkeypatch.setattr('reproduction.running.PAUSE', 0)
    monkeypatch.setattr(
        'reproduction.cells.is_finished', lambda cfg, folder: Path(folder, 'iter_2.pth').is_file()
    )
    return Done.started
