"""tools/analysis/compare_configs.py: real trainings of seconds, a table, and nothing done twice."""

import json
import statistics

import pytest
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
