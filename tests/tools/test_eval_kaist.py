"""tools/analysis/eval_kaist.py as a user runs it."""

import json
import os
import random
import runpy
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from helpers import ROOT, run_here
from matplotlib.figure import Figure

from mmslg.evaluation.functional import Curve

TOOL = 'tools/analysis/eval_kaist.py'
NAMES = [f'set{s:02d}_V000_I{20 * i + 19:05d}' for s in (6, 9) for i in range(4)]


@pytest.fixture
def folder(tmp_path):
    """A person of 60 px in each of eight images, half of them by night."""
    path = tmp_path / 'gt'
    path.mkdir()
    for name in NAMES:
        (path / f'{name}.txt').write_text('% bbGt version=3\nperson 100 100 30 60 0 0 0 0 0 0 0\n')
    return path


def write(path, *lines):
    path.write_text(''.join(f'{line}\n' for line in lines))
    return path


def test_table_and_json(folder, tmp_path, run_tool):
    good = write(tmp_path / 'good.txt', *(f'{i},100,100,30,60,{i}' for i in range(1, 9)))
    poor = write(tmp_path / 'poor.v2.txt', *(f'{i},100,100,30,60,{i}' for i in (1, 2, 5)))
    empty = write(tmp_path / 'empty.txt')
    out = tmp_path / 'deep' / 'figures.json'
    done = run_tool(TOOL, '--gt', folder, '--dets', good, poor, empty, '--json', out)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    assert list(figures) == ['good', 'poor.v2', 'empty']
    assert [list(rows) for rows in figures.values()] == [['reasonable', 'all']] * 3
    assert figures['empty'] == {
        s: pytest.approx(dict(all=100, day=100, night=100)) for s in ('reasonable', 'all')
    }
    assert figures['poor.v2']['all'] == pytest.approx(dict(all=62.5, day=50, night=75))
    lines = [' '.join(line.split()) for line in done.stdout.splitlines()]
    assert 'method protocol setting all day night' in lines
    assert 'poor.v2 matlab reasonable 62.50 50.00 75.00' in lines
    assert 'empty: 0 detections in 0 of 8 images; no detections: every person is missed' in lines
    assert 'reasonable: 8 persons, 4 day, 4 night' in lines
    done = run_tool(TOOL, '--gt', folder, '--dets', poor, '--protocol', 'sejong', '--setting', 'near', 'none')
    assert 'sejong    near               -       -       -' in done.stdout
    assert 'sejong    none' in done.stdout and 'matlab' not in done.stdout


def test_plot(folder, tmp_path, run_quickly):
    files = [
        write(tmp_path / f'm{k}.txt', *(f'{i},{100 * (i % k == 0)},100,30,60,{i}' for i in range(1, 9)))
        for k in (1, 2, 3)
    ]
    files += [write(tmp_path / 'a$b^$c.txt')]  # in a plot, dollar signs would start a formula
    done = run_quickly(
        TOOL, '--gt', folder, '--dets', *files, '--plot', tmp_path / 'a.png', '--setting', 'all'
    )
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(tmp_path / 'a.png')).shape == (609, 1800, 3)
    assert not [name for name in os.listdir(tmp_path) if name.startswith('.')]


def test_no_formula_is_left_in_a_plot():
    axes = Figure().add_subplot()
    curve = Curve(10.0, np.array([0.01, 1.0]), np.array([0.5, 0.1]), 2, 2)
    looks = {'m': {'color': 'k'}}
    runpy.run_path(str(ROOT / TOOL))['draw_panel'](axes, {'m': curve}, looks, (0.01, 1.0))
    labels = [text.get_text() for text in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    assert {'0.001', '0.1', '10'} <= set(labels) and not [text for text in labels if '$' in text]


def test_nothing_heavy_is_imported(folder, tmp_path):
    found = write(tmp_path / 'd.txt', '1,100,100,30,60,1')
    code = (
        'import runpy, sys\n'
        f'sys.argv = [{TOOL!r}, "--gt", {str(folder)!r}, "--dets", {str(found)!r}]\n'
        'try:\n    runpy.run_path(sys.argv[0], run_name="__main__")\n'
        'except SystemExit as end:\n    assert not end.code\n'
        'heavy = {"torch", "mmengine", "mmcv", "mmdet", "cv2", "matplotlib"} & set(sys.modules)\n'
        'assert not heavy, heavy\n'
    )
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ('lines', 'options', 'message'),
    [
        (['0,1,2,3,4,1'], [], 'd.txt:1: image index 0: this file counts images from 0, wanted from 1'),
        (['1,1,2,3,4,1', '9,1,2,3,4,1'], [], 'd.txt:2: the ground truth has no more than 8 images, got 9'),
        (['1,1,2,3,4,1', '', '1,1,2,3,four,1'], [], 'd.txt:3: wanted six finite numbers'),
        (['1,1,2,3,4,nan'], [], 'd.txt:1: wanted six finite numbers'),
        (['1,1,2,3,4,1'], ['--dets', 'd.txt', 'd.txt'], '--dets: 2 of them are called d; rename all but one'),
        (['1,1,2,3,4,1'], ['--dets', 'other.txt'], 'other.txt: no such file'),
        (['1,1,2,3,4,1'], ['--gt', 'other.json'], 'other.json: no such file'),
        (['1,1,2,3,4,1'], ['--gt', 'd.txt'], 'd.txt: not valid JSON'),
        (['1,1,2,3,4,1'], ['--gt', '.'], 'no files such as set06_V000_I00019.txt there'),
        (['1,1,2,3,4,1'], ['--plot', 'a.jpg'], '--plot a.jpg: wanted a name that ends in .png'),
    ],
)
def test_bad_input_is_one_line(folder, tmp_path, run_quickly, monkeypatch, lines, options, message):
    write(tmp_path / 'd.txt', *lines)
    monkeypatch.chdir(tmp_path)
    done = run_quickly(TOOL, '--gt', folder, '--dets', 'd.txt', '--json', 'out.json', *options)
    assert done.returncode == 1
    assert done.stderr.startswith('error: ') and done.stderr.count('\n') == 1, done.stderr
    assert message in done.stderr
    assert not (tmp_path / 'out.json').exists()


@pytest.mark.parametrize('field', ['ignore', 'occlusion'])
def test_ground_truth_without_a_field_that_the_settings_go_by(tmp_path, field, monkeypatch, capsys):
    boxes = [
        dict(id=i, image_id=1, category_id=1, bbox=[99, 99, 30, 60], occlusion=0, ignore=0) for i in (1, 2)
    ]
    del boxes[1][field]
    data = dict(images=[dict(id=1, file_name='set06/V000/visible/I00019.jpg')], annotations=boxes)
    (tmp_path / 'gt.json').write_text(json.dumps(data))
    found = write(tmp_path / 'd.txt', '1,100,100,30,60,1')
    assert run_here('eval_kaist.py', monkeypatch, '--gt', tmp_path / 'gt.json', '--dets', found) == 1
    error = capsys.readouterr().err
    assert f'gt.json: annotations[1]: wanted {field} 0' in error and 'got none' in error
    assert error.count('\n') == 1


def test_an_input_is_never_overwritten(folder, tmp_path, monkeypatch, capsys):
    found = write(tmp_path / 'd.txt', '1,100,100,30,60,1')
    (tmp_path / 'link.txt').symlink_to(found)
    for out in (found, tmp_path / 'link.txt', folder / f'{NAMES[0]}.txt'):
        before = out.read_bytes()
        arguments = ('--gt', folder, '--dets', found, '--json', out)
        assert run_here('eval_kaist.py', monkeypatch, *arguments) == 1
        error = capsys.readouterr().err
        assert 'the output is the input' in error and error.count('\n') == 1
        assert out.read_bytes() == before


def test_unknown_options_list_the_known_ones(folder, run_quickly):
    done = run_quickly(TOOL, '--gt', folder, '--dets', 'x', '--setting', 'Reasonable')
    assert done.returncode == 2 and 'heavy' in done.stderr and 'Traceback' not in done.stderr


@pytest.fixture
def published(shared):
    return shared / 'kaist_mr'


@pytest.mark.parametrize('protocol', ['matlab', 'sejong'])
@pytest.mark.parametrize('truth', ['kaist_mr/KAIST_annotation.json', 'kaist_improved_txt/annotations'])
def test_published_figures(shared, published, tmp_path, run_quickly, protocol, truth):
    expected = json.loads((published / 'expected_mr.json').read_text())['methods']
    files = [published / f'dets/{method}_result.txt' for method in expected]
    done = run_quickly(
        *(TOOL, '--gt', shared / truth, '--dets', *files, '--protocol', protocol),
        *('--json', tmp_path / 'f.json'),
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'f.json').read_text())
    for method, values in expected.items():
        for setting in ('reasonable', 'all'):
            row = figures[f'{method}_result'][setting]
            assert list(row.values()) == pytest.approx(values[f'{protocol}_{setting}'], abs=0.01)


def test_one_method_and_setting_in_under_two_seconds(published, run_tool):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = run_tool(
            *(TOOL, '--gt', published / 'KAIST_annotation.json', '--setting', 'reasonable'),
            *('--dets', published / 'dets/MSDS-RCNN_result.txt'),
        )
        times.append(time.perf_counter() - start)
        assert done.returncode == 0
    assert min(times) < 2


def test_shuffled_shifted_and_cut_files(published, tmp_path, run_quickly):
    lines = (published / 'dets/MLPD_result.txt').read_text().split()
    shuffled = random.Random(0).sample(lines, len(lines))
    files = [write(tmp_path / 'sorted.txt', *lines), write(tmp_path / 'shuffled.txt', *shuffled)]
    rows = np.array([line.split(',') for line in lines], dtype=float)
    high = rows * [1, 1, 1, 1, 1, 37] - [0, 0, 0, 0, 0, 50]
    files += [tmp_path / 'scaled.txt']
    np.savetxt(files[-1], high, delimiter=',', fmt='%.9g')
    gt = published / 'KAIST_annotation.json'
    for protocol in ('matlab', 'sejong'):
        done = run_quickly(
            TOOL, '--gt', gt, '--dets', *files, '--protocol', protocol, '--json', tmp_path / 'f'
        )
        assert done.returncode == 0, done.stderr
        figures = json.loads((tmp_path / 'f').read_text())
        assert figures['sorted'] == figures['shuffled'] == figures['scaled']
    from_0 = rows - [1, 0, 0, 0, 0, 0]
    for wrong in (from_0, from_0[from_0[:, 0] > 0]):
        np.savetxt(tmp_path / 'd.txt', wrong, delimiter=',', fmt='%.9g')
        done = run_quickly(TOOL, '--gt', gt, '--dets', tmp_path / 'd.txt')
        assert done.returncode == 1 and 'counts images from 0, wanted from 1' in done.stderr
