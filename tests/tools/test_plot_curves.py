import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).parents[2]


def run_tool(name, *args):
    return subprocess.run(
        [sys.executable, ROOT / 'tools' / 'analysis' / name, *map(str, args)],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
    )


def run_here(name, monkeypatch, *args):
    """Run a tool in this process, which spares the imports; return its exit code."""
    tool = str(ROOT / 'tools' / 'analysis' / name)
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(tool, run_name='__main__')
    return caught.value.code


@pytest.fixture
def logs(tmp_path):
    def write(run, *rows):
        path = tmp_path / 'run' / run / 'vis_data' / 'scalars.json'
        path.parent.mkdir(parents=True)
        path.write_text('\n'.join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return tmp_path / 'run'

    return write


VALIDATION = {
    'coco/bbox_mAP': 0.25,
    'coco/bbox_mAP_50': 0.5,
    'coco/car_precision': 0.3,
    'time': 1.0,
    'step': 1,
}


def test_plot_curves_of_the_newest_training(tmp_path, logs):
    logs('20260101_000000', {'loss': 9.0, 'iter': 1, 'epoch': 1, 'step': 1})
    first, second = ({'loss': 4.0 - i, 'iter': i, 'epoch': 1, 'step': i} for i in (1, 2))
    logs('20260102_000000', first, second, VALIDATION, '{"loss": 1.')
    folder = logs('20260103_000000', VALIDATION)  # a test
    done = run_tool('plot_curves.py', folder, '--json', tmp_path / 'c.json')
    assert done.returncode == 0, done.stderr
    assert 'loss 2 at iteration 2, coco/bbox_mAP 0.250, coco/bbox_mAP_50 0.500' in done.stdout
    figures = json.loads((tmp_path / 'c.json').read_text())
    run = figures['runs'][0]
    assert run['run'].endswith('20260102_000000') and run['by_epoch']
    assert run['loss'] == [[1, 3.0], [2, 2.0]]
    assert run['metrics']['coco/bbox_mAP'] == [[1, 0.25]] and 'time' not in run['metrics']
    assert figures['drawn'] == ['coco/bbox_mAP', 'coco/bbox_mAP_50']
    assert cv2.imread(str(folder / 'curves.png')).shape == (504, 1320, 3)


def test_broken_log_and_unknown_metric_are_named(logs, monkeypatch, capsys):
    good = {'loss': 1.0, 'iter': 1, 'epoch': 1, 'step': 1}
    folder = logs('20260101_000000', good, VALIDATION)
    assert run_here('plot_curves.py', monkeypatch, folder, '--metrics', 'coco/x') == 1
    assert 'not in the logs, which hold coco/bbox_mAP, ' in capsys.readouterr().err
    logs('20260102_000000', '{"loss', good)
    assert run_here('plot_curves.py', monkeypatch, folder) == 1
    assert 'scalars.json, line 1: not valid JSON' in capsys.readouterr().err
