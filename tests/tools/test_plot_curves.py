import json
from pathlib import Path

import cv2
import pytest
from helpers import run_analysis as run_tool
from helpers import run_here

from mmslg.apis.training_logs import read_run, trainable_parameters
from mmslg.visualization.curves import LABEL_GAP, draw_runs, draw_sizes
from mmslg.visualization.figures import figure_in

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


@pytest.mark.parametrize(
    ('value', 'high'), [(0.25, 0.42), (0.7, 1), (1.0, 1), (40.0, 42), (float('nan'), 1), (-1.0, 0.02)]
)
def test_the_whole_curve_is_in_the_picture(value, high, tmp_path):
    """Miss rates are per cent; a metric may be nothing but NaN."""
    run = dict(work_dir='run', loss=[(1, 2.0)], metrics={'m': [(1, value), (2, float('nan'))]}, by_epoch=True)
    with figure_in(tmp_path / 'c.png') as figure:
        draw_runs([run], ['m'], figure)
        assert figure.axes[1].get_ylim() == pytest.approx((0, high))


def test_miss_rates_are_drawn_unasked(logs, monkeypatch, capsys):
    rates = {'kaist/all_all': 35.5, 'kaist/all_day': 30.0, 'kaist/reasonable_all': 20.25, 'step': 1}
    folder = logs('20260101_000000', {'loss': 1.0, 'iter': 1, 'step': 1}, rates)
    assert not run_here('plot_curves.py', monkeypatch, folder)
    assert ', kaist/all_all 35.500, kaist/reasonable_all 20.250\n' in capsys.readouterr().out


def test_a_resumed_run_is_read_whole(logs, monkeypatch):
    points = [{'loss': 5.0 - i, 'iter': i, 'step': i} for i in range(5)]
    values = [{'coco/bbox_mAP': i / 10, 'step': i} for i in range(5)]
    logs('20260101_000000', *points[:4], *values[1:3])
    folder = logs('20260102_000000', *points[3:], *values[2:])
    assert [step for step, _ in read_run(folder)['loss']] == [3, 4]  # nothing says that it was resumed
    starts = [dict(weights=dict(resumed_at=at)) for at in (None, 2)]
    (folder / 'run.json').write_text(json.dumps(dict(starts=starts)))
    run = read_run(folder)
    assert run['loss'] == [(i, 5.0 - i) for i in range(5)]
    assert run['metrics']['coco/bbox_mAP'] == [(i, i / 10) for i in range(1, 5)]
    (folder / 'run.json').write_text(json.dumps(dict(starts=starts[::-1])))  # begun anew
    assert [step for step, _ in read_run(folder)['loss']] == [3, 4]


@pytest.fixture
def cells(tmp_path):
    """Two configs of two seeds, one of them in folders named train; each seed validates three times."""

    def write(folder, *values):
        file = folder / '20260101_000000' / 'vis_data' / 'scalars.json'
        file.parent.mkdir(parents=True)
        rows = [{'loss': 2.0 - value, 'iter': 10 * i, 'step': 10 * i} for i, value in enumerate(values, 1)]
        rows += [
            {'coco/bbox_mAP_50': v, 'coco/bbox_mAP': v / 2, 'step': 10 * i} for i, v in enumerate(values, 1)
        ]
        file.write_text('\n'.join(map(json.dumps, rows)))

    write(tmp_path / 'frozen/seed_0', 0.1, 0.3, 0.5)
    write(tmp_path / 'frozen/seed_1', 0.3, 0.3, 0.7)
    write(tmp_path / 'whole/seed_0/train', 0.2, 0.1, 0.4)
    write(tmp_path / 'whole/seed_1/train', 0.2, 0.15, 0.05)
    return tmp_path


def test_configs_over_their_seeds(cells, monkeypatch, capsys):
    folders = cells / 'frozen', cells / 'whole'
    files = '--out', cells / 'c.png', '--json', cells / 'c.json'
    assert not run_here('plot_curves.py', monkeypatch, *folders, '--over-seeds', *files)
    said = capsys.readouterr().out
    assert 'frozen: coco/bbox_mAP_50 0.600 ± 0.141 over 2 seeds, falls by 0.000 between validations' in said
    assert 'whole: coco/bbox_mAP_50 0.225 ± 0.247 over 2 seeds, falls by 0.125 between validations' in said
    frozen = json.loads((cells / 'c.json').read_text())['configs'][0]
    # 0.1 and 0.3 have the mean 0.2 and the deviation 0.2 / sqrt(2)
    expected = [[10, 0.2, 0.2 / 2**0.5], [20, 0.3, 0], [30, 0.6, 0.2 / 2**0.5]]
    assert frozen['points'] == [pytest.approx(point) for point in expected]
    assert cv2.imread(str(cells / 'c.png')).shape == (552, 1560, 3)


@pytest.mark.parametrize(
    ('folders', 'options', 'message'),
    [
        (('frozen', 'frozen'), (), 'wants folders of different names, and --metrics with one name'),
        (('frozen',), ('--metrics', 'coco/bbox_mAP', 'coco/bbox_mAP_50'), 'and --metrics with one name'),
        (('frozen/seed_0',), (), 'frozen/seed_0: no seed_* there; wanted a folder of runs, one a seed'),
    ],
)
def test_seeds_that_cannot_be_drawn(cells, monkeypatch, capsys, folders, options, message):
    paths = [cells / folder for folder in folders]
    arguments = [*paths, '--over-seeds', '--out', cells / 'c.png', *options]
    assert run_here('plot_curves.py', monkeypatch, *arguments) == 1
    assert message in capsys.readouterr().err and not (cells / 'c.png').exists()


def test_accuracy_against_size(tmp_path):
    """Each row is drawn where it belongs, and labels stay apart and off other points."""
    rows = [('a', 2_000_000, 0.30, 0.01), ('b', 2_000_000, 0.31, None), ('c', 90_000_000, 0.25, 0.02)]
    rows.append(('d', 1_900_000, 0.305, None))
    with figure_in(tmp_path / 'sizes.png') as figure:
        draw_sizes(figure, rows)
        axes = figure.axes[0]
        places = [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() == 'o']
        assert places == [(2.0, 0.30), (2.0, 0.31), (90.0, 0.25), (1.9, 0.305)]
        heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
        low, high = axes.get_ylim()
        assert heights['b'] - heights['a'] >= LABEL_GAP * (high - low) - 1e-9
        assert all(low < height < high for height in heights.values())
        sides = {text.get_text(): text.get_horizontalalignment() for text in axes.texts}
        assert sides == dict(a='left', b='left', c='left', d='right')
    assert cv2.imread(str(tmp_path / 'sizes.png')) is not None


def test_trainable_parameters_are_the_runs_own(tmp_path):
    parts = dict(trunk=dict(trainable=0, frozen=100), head=dict(trainable=7, frozen=0))
    parts['itself'] = dict(trainable=3, frozen=1)
    (tmp_path / 'run.json').write_text(json.dumps(dict(starts=[dict(parameters={}), dict(parameters=parts)])))
    assert trainable_parameters(tmp_path) == 10


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
