"""tools/analysis/compare_configs.py: real trainings of seconds, a table, and nothing done twice."""

import json
import statistics
import subprocess
from pathlib import Path

import pytest
import torch
from helpers import ROOT, TINY, iterations, run_here, write_leaf


def leaves(folder):
    """The miniature and its shuffled control on the pairs of a folder."""
    shuffled = 'ablations/slgnet_mini_shuffled_captions.py'
    return write_leaf(folder), write_leaf(folder, shuffled, name='leaf_shuffled_captions.py')


@pytest.mark.slow
def test_two_configs_over_two_seeds(pairs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.chdir(ROOT)
    configs, options = leaves(pairs), [*TINY, *iterations(2)]
    out = tmp_path / 'figures.json'
    arguments = ['--seeds', 0, 1, '--work-dir', tmp_path / 'runs', '--json', out, '--jobs', 2]
    assert not run_here('compare_configs.py', monkeypatch, *configs, *arguments, '--cfg-options', *options)
    table = capsys.readouterr().out
    assert '2 seeds (0, 1): mean ± standard deviation' in table and 'leaf_shuffled_captions' in table
    figures = json.loads(out.read_text())['configs']
    for row in figures.values():
        for metric in row.values():
            assert metric['mean'] == pytest.approx(statistics.fmean(metric['values']))
            assert metric['deviation'] == pytest.approx(statistics.stdev(metric['values']))
    done = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('figures.json')}
    assert len(done) == 5
    logs = [path.read_text() for path in tmp_path.rglob('train.log')]
    assert sum('captions shuffled over' in log for log in logs) == 2

    # Again: nothing is trained, the table is the same. With other options the runs are not these.
    assert not run_here('compare_configs.py', monkeypatch, *configs, *arguments, '--cfg-options', *options)
    assert [path.read_text() for path in tmp_path.rglob('train.log')] == logs
    assert run_here('compare_configs.py', monkeypatch, *configs, *arguments) == 1
    assert 'holds another run' in capsys.readouterr().err


def test_what_is_wrong_is_said(pairs, tmp_path, monkeypatch, capsys):
    leaf = write_leaf(pairs)
    assert run_here('compare_configs.py', monkeypatch, leaf, leaf) == 1
    assert 'wanted configs of different names' in capsys.readouterr().err
    arguments = ['--seeds', 0, '--work-dir', tmp_path]
    (pairs / 'annotations_train.json').unlink()
    assert run_here('compare_configs.py', monkeypatch, leaf, *arguments) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert 'leaf.py, seed 0: training failed, see ' in error and 'annotations_train.json' in error


@pytest.fixture
def trainings(monkeypatch):
    """Trainings that leave figures at once; each entry is a command."""
    commands = []

    def run(command, **kwargs):
        commands.append(command)
        folder = Path(command[command.index('--work-dir') + 1])
        scalars = folder / '20260101_000000/vis_data/scalars.json'
        scalars.parent.mkdir(parents=True, exist_ok=True)
        scalars.write_text('{"coco/bbox_mAP": 0.25, "coco/bbox_mAP_50": 0.5, "step": 2}\n')
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, 'run', run)
    return commands


def interrupted(*args, **kwargs):
    raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_with_its_own_data_alone(pairs, tmp_path, monkeypatch, capsys, trainings):
    leaf, folder = write_leaf(pairs), tmp_path / 'runs'
    arguments = [leaf, '--seeds', 0, '--work-dir', folder, '--cfg-options', *TINY]
    with monkeypatch.context() as killed:
        killed.setattr(subprocess, 'run', interrupted)
        assert run_here('compare_configs.py', killed, *arguments) == 130
    assert trainings == [] and (folder / 'leaf/seed_0/identity.json').is_file()

    labels = pairs / 'annotations_train.json'
    before = labels.read_text()
    labels.write_text(before.replace('"iscrowd": 0', '"iscrowd": 1', 1))
    assert run_here('compare_configs.py', monkeypatch, *arguments) == 1
    assert 'annotations_train.json has another content' in capsys.readouterr().err
    labels.write_text(before)
    assert run_here('compare_configs.py', monkeypatch, *arguments, 'train_dataloader.batch_size=3') == 1
    error = capsys.readouterr().err
    assert 'seed_0: holds another run (train_dataloader.batch_size was 4 and is 3)' in error
    assert trainings == []

    assert not run_here('compare_configs.py', monkeypatch, *arguments)
    assert len(trainings) == 1 and '0.250' in capsys.readouterr().out
    assert not run_here('compare_configs.py', monkeypatch, *arguments)
    assert len(trainings) == 1  # its figures stand


def test_a_finished_run_without_its_figures_is_not_trained_again(pairs, tmp_path, monkeypatch, trainings):
    """Killed after the last iteration and before the figures were written."""
    arguments = [
        write_leaf(pairs),
        '--seeds',
        0,
        '--work-dir',
        tmp_path,
        '--cfg-options',
        *TINY,
        *iterations(2),
    ]
    assert not run_here('compare_configs.py', monkeypatch, *arguments)
    run = tmp_path / 'leaf/seed_0'
    (run / 'figures.json').unlink()
    state = dict(state_dict={'w': torch.zeros(1)}, optimizer={}, message_hub={}, meta=dict(iter=2, epoch=0))
    torch.save(state, run / 'train/iter_2.pth')
    (run / 'train/last_checkpoint').write_text(str(run / 'train/iter_2.pth'))
    assert not run_here('compare_configs.py', monkeypatch, *arguments)
    assert len(trainings) == 1 and (run / 'figures.json').is_file()
