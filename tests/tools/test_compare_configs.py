"""tools/analysis/compare_configs.py: real trainings of seconds, a table, and nothing done twice."""

import json
import statistics

import pytest
from helpers import TINY, mini_env, run_here

CONFIGS = ('configs/slgnet_mini.py', 'configs/ablations/slgnet_mini_shuffled_captions.py')


@pytest.mark.slow
def test_two_configs_over_two_seeds(pairs, tmp_path, monkeypatch, capsys, root):
    for key, value in (mini_env(pairs) | dict(MMSLG_ITERS='2', PYTHONPATH=str(root))).items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(root)
    out = tmp_path / 'figures.json'
    arguments = ['--seeds', 0, 1, '--work-dir', tmp_path / 'runs', '--json', out, '--jobs', 2]
    assert not run_here('compare_configs.py', monkeypatch, *CONFIGS, *arguments, '--cfg-options', *TINY)
    table = capsys.readouterr().out
    assert '2 seeds (0, 1): mean ± standard deviation' in table and 'slgnet_mini_shuffled_captions' in table
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
    assert not run_here('compare_configs.py', monkeypatch, *CONFIGS, *arguments, '--cfg-options', *TINY)
    assert [path.read_text() for path in tmp_path.rglob('train.log')] == logs
    assert run_here('compare_configs.py', monkeypatch, *CONFIGS, *arguments) == 1
    assert 'holds another run' in capsys.readouterr().err


def test_what_is_wrong_is_said(pairs, tmp_path, monkeypatch, capsys):
    assert run_here('compare_configs.py', monkeypatch, CONFIGS[0], CONFIGS[0]) == 1
    assert 'wanted configs of different names' in capsys.readouterr().err
    arguments = ['--seeds', 0, '--work-dir', tmp_path]
    for key, value in (mini_env(pairs) | dict(MMSLG_DATA=str(tmp_path / 'none'))).items():
        monkeypatch.setenv(key, value)
    assert run_here('compare_configs.py', monkeypatch, CONFIGS[0], *arguments) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert 'slgnet_mini.py, seed 0: training failed, see ' in error and 'annotations_train.json' in error
