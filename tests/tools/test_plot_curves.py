import json
from pathlib import Path

import cv2
import pytest
from helpers import run_analysis as run_tool
from helpers import run_here

ROOT = Path(__file__).parents[2]


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


def test_names_with_dollar_signs_are_no_formulas(tmp_path, logs, monkeypatch):
    folder = logs('20260101_000000', {'loss': 1.0, 'iter': 1, 'step': 1}, {'a$b^$c/mAP': 0.5, 'step': 1})
    strange = folder.rename(tmp_path / 'a$b^$c')
    assert not run_here('plot_curves.py', monkeypatch, strange, strange)
    assert cv2.imread(str(strange / 'curves.png')).shape == (504, 1320, 3)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('', 'error: --out : wanted a name that ends in .png'),
        ('a.pdf', 'error: --out a.pdf: wanted a name that ends in .png'),
        ('file/a.png', 'a part of the path is a file, and no folder'),
        ('x' * 300 + '.png', 'the name is too long; choose a shorter one'),
        ('folder.png', 'a folder, wanted the name of a file to write'),
    ],
)
def test_out_that_cannot_be_written(name, message, tmp_path, logs, monkeypatch, capsys):
    folder = logs('20260101_000000', {'loss': 1.0, 'iter': 1, 'step': 1})
    (tmp_path / 'file').touch()
    (tmp_path / 'folder.png').mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob('*'))
    assert run_here('plot_curves.py', monkeypatch, folder, '--out', name) == 1
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1
    assert sorted(tmp_path.rglob('*')) == before
