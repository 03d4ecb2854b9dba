"""tools/reproduce.py: tables as data, cells that are killed and go on, what is missing, what is refused."""

import json
import os
import re
import shlex
import signal
import statistics
import sys
import time
from pathlib import Path

import pytest
from cells_at_once import Done, in_tool, over_two_seeds
from forked import ForkedTool
from helpers import ROOT, TINY, iterations, run_here, write_leaf
from test_docs import Parsed, parse_and_stop

from mmslg.errors import InputError
from reproduction import running
from reproduction.cells import Settings, plan
from reproduction.collect import collect
from reproduction.running import Lock
from reproduction.table import TABLES, read_table, table_names, table_of_configs

PYTHONS = ('python', sys.executable)
"""How commands are printed where an environment is active, and where none is."""

LONG = [*TINY, *iterations(12), 'default_hooks.checkpoint.interval=2']


def settings(folder, **more):
    return Settings(str(folder), seeds=(0,), **more)


@pytest.fixture
def reproduce(monkeypatch, capsys):
    """Run the tool in this process, its commands as forks of it; returns exit code, output and errors."""
    monkeypatch.setattr(running, 'Popen', ForkedTool)
    monkeypatch.setattr(running, 'PAUSE', 0.02)

    def run(*words):
        capsys.readouterr()
        code = run_here('reproduce.py', monkeypatch, *words)
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize('name', table_names())
def test_commands_of_a_dry_run_can_be_pasted(name, monkeypatch, capsys):
    """Files are there, and each tool takes the arguments that it is given."""
    import argparse
    import runpy

    monkeypatch.chdir(ROOT)
    assert not run_here(
        'reproduce.py', monkeypatch, name, '--dry-run', '--seeds', 0, '--work-dir', 'work_dirs/none'
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith('# reproduce.py refuses cells that these commands have begun')
    commands = [shlex.split(line) for line in lines if not line.startswith('#')]
    assert commands and len([line for line in lines if line.startswith('# cell ')]) == len(
        read_table(TABLES / f'{name}.yaml').measured
    )
    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_and_stop)
    tried = set()
    for words in commands:
        words = [word for word in words if not re.fullmatch('[A-Z_]+=.*', word)]
        assert words[0] in PYTHONS
        for word in words:
            if word.startswith(('tools/', 'configs/')):
                assert (ROOT / word).is_file(), word
        shape = (words[1], tuple(word for word in words if word.startswith('--')))
        if shape not in tried:
            tried.add(shape)
            monkeypatch.setattr(sys, 'argv', words[1:])
            with pytest.raises(Parsed):
                runpy.run_path(words[1], run_name='__main__')


def test_several_gpus_share_the_batch_and_each_cell_has_a_port(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    words = ['flir', '--dry-run', '--seeds', 0, '--work-dir', 'work_dirs/none', '--gpus']
    assert not run_here('reproduce.py', monkeypatch, *words, 4)
    trained = [line for line in capsys.readouterr().out.splitlines() if 'dist_train.sh' in line]
    assert [line.split()[0] for line in trained] == [f'MASTER_PORT={29500 + n}' for n in range(len(trained))]
    assert all(' 4 --work-dir ' in line and 'train_dataloader.batch_size=2' in line for line in trained)
    assert run_here('reproduce.py', monkeypatch, *words, 3) == 1
    assert '--gpus 3: the batch of configs/slgnet_flir.py is 8' in capsys.readouterr().err


def test_missing_data_are_named_with_what_makes_them(reproduce, tmp_path, monkeypatch):
    """Nothing is run; the table has the papers' figures, and 'not run' in the columns of measured ones."""
    monkeypatch.chdir(ROOT)
    folder = tmp_path / 'runs'
    code, out, err = reproduce(
        'kaist', '--seeds', 0, 1, '--data-root', tmp_path / 'data', '--work-dir', folder
    )
    assert code == 1
    assert f'# missing: {tmp_path}/data/kaist/captions.safetensors' in out
    before = out[: out.index('# KAIST\n')].splitlines()
    assert [line.split()[1] for line in before if line.startswith(PYTHONS)] == [
        'tools/convert.py',
        'tools/captions/generate.py',
        'tools/captions/encode.py',
        'tools/reproduce.py',  # the checkpoint of LLVIP that the training starts from
    ]
    errors = [line for line in err.splitlines() if line.startswith('error: ')]
    assert len(errors) == 2 and all('missing: ' in line and 'slgnet_llvip/seed_' in line for line in errors)
    page = (folder / 'kaist.md').read_text()
    assert 'Rows with an empty measured column are cited; this table does not measure them.' in page
    rows = [line.split(' | ') for line in page.splitlines() if line.startswith('| ')]
    head, ours = rows[0], next(row for row in rows if row[0] == '| SLGNet')
    figures = dict(zip(head, ours))
    assert figures['ALL night, paper-reported'] == '20.56' and figures['ALL night, measured'] == 'not run'
    cited = dict(zip(head, next(row for row in rows if row[0] == '| M-SpecGene')))
    assert cited['ALL night, paper-reported'] == '19.42' and cited['ALL night, measured'] == ''
    assert not list(folder.glob('*/seed_*')) and (folder / 'kaist.png').stat().st_size > 10000


def test_a_system_whose_figure_is_not_known_has_none(tmp_path):
    for name, wanted in (
        ('flir', ['CHU-DETR', 'Consensus/Discrepancy', 'M2D-LIF']),
        ('dronevehicle', ['DMM']),
    ):
        table = read_table(TABLES / f'{name}.yaml')
        page = collect(table, plan(table, settings(tmp_path)), {}, tmp_path / f'{name}.md')
        rows = {line.split(' | ')[0][2:]: line for line in page.splitlines() if line.startswith('| ')}
        for system in wanted:
            marked = f'{system} †'
            assert (marked if marked in rows else system) in rows
    assert rows['DMM'].count('–') == 7 and '68.6' in rows['DMM']  # six metrics and the trainable parameters


@pytest.mark.slow
def test_a_killed_table_goes_on_and_a_cell_run_again_has_the_same_figures(
    pairs, tmp_path, monkeypatch, reproduce
):
    """Tool and training are killed in the middle; the next start goes on; a new folder gives every digit."""
    leaf, folder = write_leaf(pairs), tmp_path / 'runs'
    words = [leaf, '--seeds', 0, '--work-dir', folder, '--cfg-options', *LONG]
    cell = folder / 'leaf/seed_0'
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.dup2(os.open(tmp_path / 'first.log', os.O_WRONLY | os.O_CREAT), 1)
        os._exit(run_here('reproduce.py', monkeypatch, *words) or 0)
    end = time.monotonic() + 300
    while not (cell / 'train/last_checkpoint').is_file():
        assert time.monotonic() < end and not os.waitpid(child, os.WNOHANG)[0], (
            tmp_path / 'first.log'
        ).read_text()
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not (cell / 'figures.json').exists() and not (cell / 'test').exists()

    code, out, err = reproduce(*words)
    assert not code, err + (cell / 'train.log').read_text()[-2000:]
    figures = json.loads((cell / 'figures.json').read_text())
    assert figures['starts'] == 2 and 'leaf/seed_0: goes on' in out
    resumed = json.loads((cell / 'train/run.json').read_text())['starts'][-1]['weights']['resumed_at']
    assert resumed in range(2, 12, 2)
    monkeypatch.setattr(running, 'Popen', None)  # what is done is not done twice
    assert not reproduce(*words)[0]
    monkeypatch.setattr(running, 'Popen', ForkedTool)

    again = tmp_path / 'again'
    words[words.index(folder)] = again
    assert not reproduce(*words, '--only', 'leaf/seed_0')[0]
    second = json.loads((again / 'leaf/seed_0/figures.json').read_text())
    assert second['starts'] == 1
    for name, value in figures['metrics'].items():
        if name.startswith('coco/'):
            assert str(second['metrics'][name]) == str(value)
    assert sum(abs(value) for name, value in figures['metrics'].items() if name == 'coco/bbox_mAP_50') > 0
    page = (folder / 'comparison.md').read_text()
    assert f'| leaf | {figures["metrics"]["coco/bbox_mAP"]:.3f} |' in page


def test_mean_and_deviation_over_the_seeds(pairs, tmp_path, monkeypatch, capsys, commands):
    words = over_two_seeds(pairs, tmp_path)
    code, out, _ = in_tool(monkeypatch, capsys, *words)
    deviation = statistics.stdev([0.25, 0.5])
    assert not code and f'| leaf | 0.375 ± {deviation:.3f} | 0.750 ± {2 * deviation:.3f} |' in out
    assert 'Overridden in every config, whatever the protocol says: model.backbone.trunk' in out
    assert len(commands) == 4
    plain = json.loads((tmp_path / 'comparison.json').read_text())
    (row,) = plain['measured'].values()
    assert row['values']['bbox_mAP'] == {'0': 0.25, '1': 0.5}

    (tmp_path / 'leaf/seed_1/figures.json').unlink()  # killed after the training: it is tested, not trained
    code, out, _ = in_tool(monkeypatch, capsys, '--report', *words)
    assert not code and '| leaf | 0.250 (1 of 2 seeds) |' in out and len(commands) == 4
    assert not in_tool(monkeypatch, capsys, *words)[0]
    assert len(commands) == 5 and commands[-1][1].endswith('test.py')


def test_a_report_of_nothing_has_no_picture_and_says_what_to_run(
    pairs, tmp_path, monkeypatch, capsys, commands
):
    words = over_two_seeds(pairs, tmp_path)
    code, out, err = in_tool(monkeypatch, capsys, '--report', *words)
    assert not code, err
    assert '| leaf | not run |' in out
    assert out.endswith('\nthe same command without --report runs it\n')
    assert not list(tmp_path.glob('*.png')) and '.png' not in out + (tmp_path / 'comparison.md').read_text()
    assert not commands and not in_tool(monkeypatch, capsys, *words)[0]
    code, out, err = in_tool(monkeypatch, capsys, '--report', *words)
    assert not code and (tmp_path / 'comparison.png').is_file() and 'without --report' not in out


def test_folders_of_other_runs_are_refused(pairs, tmp_path, monkeypatch, capsys, commands):
    leaf, options = write_leaf(pairs), [*TINY, *iterations(2)]
    words = [leaf, '--seeds', 0, '--work-dir', tmp_path / 'runs', '--cfg-options', *options]
    assert not in_tool(monkeypatch, capsys, *words)[0]
    labels = pairs / 'annotations_train.json'
    before = labels.read_text()
    labels.write_text(before.replace('"iscrowd": 0', '"iscrowd": 1', 1))
    code, _, err = in_tool(monkeypatch, capsys, *words)
    assert code == 1 and 'annotations_train.json has another content' in err
    labels.write_text(before)
    code, _, err = in_tool(monkeypatch, capsys, *words, 'train_dataloader.batch_size=3')
    assert code == 1 and 'seed_0: holds another run (train_dataloader.batch_size was 4 and is 3)' in err
    assert 'another --work-dir, or give --data-root, --gpus and --cfg-options as before' in err
    (tmp_path / 'runs/leaf/seed_1').mkdir()
    (tmp_path / 'runs/leaf/seed_1/figures.json').write_text('{}')
    code, _, err = in_tool(monkeypatch, capsys, leaf, '--seeds', 1, *words[3:])
    assert code == 1 and 'seed_1: holds a run that has not said which; choose another --work-dir\n' in err
    assert len(commands) == 2


def test_a_cell_that_another_process_runs_is_left_to_it(pairs, tmp_path, monkeypatch, capsys, commands):
    words = over_two_seeds(pairs, tmp_path)
    (tmp_path / 'leaf').mkdir()
    lock = Lock(tmp_path / 'leaf/.seed_0.lock')
    assert lock.take()
    code, out, err = in_tool(monkeypatch, capsys, '--cell', 0, *words)
    assert code == 1 and 'error: leaf/seed_0: another process runs it' in err and not commands
    looks = []

    def let_go(_):
        looks.append(len(commands))
        if looks.count(2) == 3:
            lock.close()

    monkeypatch.setattr(running.time, 'sleep', let_go)
    code, out, _ = in_tool(monkeypatch, capsys, *words)  # the other cell, and this one when it is let go
    assert not code and 'waiting for 1 cells that another process runs' in out and len(commands) == 4


def test_a_command_keeps_the_lock_when_the_tool_is_killed(tmp_path):
    """The training goes on alone for a while: nobody else may begin in its folder."""
    lock = Lock(tmp_path / 'lock')
    lock.take()
    child = running.Popen([sys.executable, '-c', 'input()'], stdin=-1, pass_fds=(lock.file,))
    lock.close()
    other = Lock(tmp_path / 'lock')
    assert not other.take()
    child.communicate(b'\n')
    assert other.take()
    other.close()


def test_a_failing_cell_is_named_and_the_others_go_on(pairs, tmp_path, monkeypatch, capsys, commands):
    Done.code = 3
    words = over_two_seeds(pairs, tmp_path)
    code, out, err = in_tool(monkeypatch, capsys, *words)
    assert code == 1 and '| leaf | failed | failed |' in out and len(commands) == 2
    assert 'error: leaf/seed_1: exit code 3, see ' in err


def test_another_cells_checkpoint_and_an_analysis(pairs, tmp_path, monkeypatch, capsys, commands):
    """A row that tests the checkpoint of another one waits for it; what a tool adds is done once."""
    tool = tmp_path / 'extra.py'
    first, second = write_leaf(pairs), write_leaf(pairs, name='other.py')
    (tmp_path / 'own.yaml').write_text(
        f"""
title: Own
protocol: in this test
metrics: [{{name: mAP, keys: [coco/bbox_mAP]}}, {{name: foggy, keys: [extra/summary/fog]}}]
analysis: {{tool: {tool}, figures: found.json}}
rows:
  - {{name: swapped, config: {second}, checkpoint_of: {first}}}
  - {{name: straight, config: {first}}}
"""
    )

    class WithExtra(Done):
        def __init__(self, words, **options):
            super().__init__(words, **options)
            if words[1] == str(tool):
                out = Path(words[words.index('--out') + 1])
                out.mkdir(exist_ok=True)
                (out / 'found.json').write_text('{"summary": {"fog": 0.125}}')

    monkeypatch.setattr(running, 'Popen', WithExtra)
    words = [tmp_path / 'own.yaml', '--seeds', 1, '--work-dir', tmp_path / 'runs', '--cfg-options']
    code, out, err = in_tool(monkeypatch, capsys, *words, *TINY, *iterations(2))
    assert not code, err
    assert '| swapped | 0.500 | 0.125 |' in out and '| straight | 0.500 | 0.125 |' in out
    assert [Path(words[1]).stem for words in commands] == ['train', 'test', 'extra', 'test', 'extra']
    (tmp_path / 'runs/other/seed_1/extra/found.json').unlink()
    assert not in_tool(monkeypatch, capsys, *words, *TINY, *iterations(2))[0]
    assert [Path(words[1]).stem for words in commands[5:]] == ['extra']


def test_what_detections_and_logs_say_beyond_the_figures(pairs, tmp_path, monkeypatch, capsys, commands):
    """One config finds all boxes, the base those of an image: differences, conditions, curves by hand."""
    test = json.loads((pairs / 'annotations_test.json').read_text())
    for image in test['images']:
        image['time'] = 'day' if image['id'] == 1 else 'night'
    (pairs / 'annotations_test.json').write_text(json.dumps(test))
    base, full = write_leaf(pairs), write_leaf(pairs, name='full.py')
    (tmp_path / 'own.yaml').write_text(
        f"""
title: Own
protocol: in this test
metrics: [{{name: AP50, keys: [coco/bbox_mAP_50], scale: 100, digits: 1}}]
base: {base}
focus: AP50
curves: [{full}]
rows: [{{name: part, config: {base}}}, {{name: whole, config: {full}}}]
"""
    )
    words = [tmp_path / 'own.yaml', '--seeds', 0, '--work-dir', tmp_path, '--cfg-options']
    words += [*TINY, *iterations(2)]
    assert not in_tool(monkeypatch, capsys, *words)[0]
    for name, images in (('leaf', {1}), ('full', {1, 2, 3})):
        found = [dict(a, score=0.9) for a in test['annotations'] if a['image_id'] in images]
        cell = tmp_path / name / 'seed_0'
        (cell / 'detections.bbox.json').write_text(json.dumps(found))
        log = cell / 'train/20260101_000000/vis_data/scalars.json'
        log.parent.mkdir(parents=True)
        rows = [{'loss': 3.0, 'iter': 1, 'step': 1}]
        rows += [{'coco/bbox_mAP_50': v, 'step': n} for n, v in enumerate((0.5, 0.2, 0.4, 0.3))]
        log.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    code, out, err = in_tool(monkeypatch, capsys, '--report', *words)
    assert not code, err
    # Three classes with a box each; the base finds one of them, and none of the two by night.
    over_all, by_condition = (line for line in out.splitlines() if line.startswith('| whole | +'))
    assert over_all.startswith('| whole | +66.7 (images ')
    assert by_condition.startswith('| whole | +0.0 (images +0.0 to +0.0) | +100.0 (images +100.0 to +100.0) ')
    assert '|  | time day (1) | time night (2) |' in out
    assert '| part | 100.0 | 0.0 |' in out and '| whole | 100.0 | 100.0 |' in out
    assert '| whole | 40.0 |' in out  # falls by 0.3 and by 0.1
    assert '![Over the training](own_convergence.png)' in out and (tmp_path / 'own_convergence.png').is_file()


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('rows: [', 'not valid YAML'),
        ('[1]', 'wanted title, protocol, metrics and rows'),
        ('title: t', 'protocol is missing'),
        (
            '{title: t, protocol: p, metrics: [], rows: [], prepare: [mine]}',
            'prepare: there is no mine; wanted flir',
        ),
        ('{title: t, protocol: p, metrics: [], rows: [], more: 1}', 'there is no more'),
        (
            '{title: t, protocol: p, metrics: [], rows: [{name: 3}]}',
            'rows, number 1: name: wanted str, got 3',
        ),
        (
            '{title: t, protocol: p, metrics: [], rows: [{name: a, reported: {mAP: 1}, source: s}]}',
            'none of the metrics',
        ),
        (
            '{title: t, protocol: p, metrics: [{name: m, keys: [k]}], rows: [{name: a, reported: {m: 1}}]}',
            'the source',
        ),
        ('{title: t, protocol: p, metrics: [], rows: [], base: a.py}', 'base a.py is the config of no row'),
        (
            '{title: t, protocol: p, metrics: [{name: m, keys: [k]}], rows: [{name: cited}]}',
            'there is nothing to measure',
        ),
    ],
)
def test_a_table_that_cannot_be_read(text, message, tmp_path):
    (tmp_path / 'table.yaml').write_text(text)
    with pytest.raises(InputError, match=f'table.yaml.*{message}'):
        read_table(tmp_path / 'table.yaml')


def test_what_the_command_line_cannot_mean(pairs, tmp_path, monkeypatch, capsys, commands):
    leaf = write_leaf(pairs)
    for words, message in (
        (['flirr'], 'flirr: no such table; did you mean flir?'),
        (['flir', 'kaist'], 'wanted one table'),
        ([leaf, leaf], 'wanted configs of different names'),
        ([leaf, '--only', 'leav'], 'no such cell; did you mean leaf?'),
        ([leaf, '--cell', '3'], 'the table has 3 cells, numbered from 0'),
        ([leaf, '--data-root', 'a,b'], '--data-root a,b: wanted a path without'),
        ([leaf, '--data-root', 'a b'], '--data-root a b: wanted a path without blanks'),
        ([leaf, '--data-root', "a'b"], "--data-root a'b: wanted a path without blanks, quotes"),
        ([leaf, '--out', 'x.txt'], 'wanted a name that ends in .md'),
    ):
        code, _, err = in_tool(
            monkeypatch, capsys, *words, '--work-dir', tmp_path / 'runs', '--cfg-options', *TINY
        )
        assert code == 1 and message in err, err
    assert not commands and not (tmp_path / 'runs').exists()
    code, _, err = in_tool(monkeypatch, capsys, leaf, '--work-dir', tmp_path / 'my runs')
    assert code == 1 and 'my runs: wanted a path without blanks' in err


def test_the_folder_of_the_data_however_it_is_written(monkeypatch, tmp_path, capsys):
    """What makes the files is known of ./data too; a table of configs knows of nothing that makes any."""
    monkeypatch.chdir(tmp_path)
    words = ['--data-root', './data', '--dry-run', '--seeds', 0]
    code, out, _ = in_tool(monkeypatch, capsys, 'flir', *words)
    assert not code and '# missing: data/flir_aligned/captions.safetensors\n' in out
    assert 'tools/convert.py flir data/flir_aligned' in out
    code, out, _ = in_tool(monkeypatch, capsys, ROOT / 'configs/slgnet_flir.py', *words)
    unknown = 'captions.safetensors; this table does not say what makes it: see docs/datasets.md'
    assert not code and unknown in out


def test_a_job_of_an_array_collects_when_all_cells_are_done(pairs, tmp_path, monkeypatch, capsys, commands):
    words = over_two_seeds(pairs, tmp_path)
    code, out, _ = in_tool(monkeypatch, capsys, '--cell', 0, *words)
    assert not code and '1 of 2 cells are done' in out and not (tmp_path / 'comparison.md').exists()
    code, out, _ = in_tool(monkeypatch, capsys, '--cell', 0, '--report', *words)
    assert not code and '| leaf | 0.250 (1 of 2 seeds) |' in out
    code, out, _ = in_tool(monkeypatch, capsys, '--cell', 1, *words)
    assert not code and '| leaf | 0.375 ± ' in out


def test_data_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    table = table_of_configs(['configs/slgnet_dronevehicle.py'], ['mAP'])
    (cell,) = plan(table, settings('runs', data_root='/mnt/sets'))
    assert cell.cfg.train_dataloader.dataset.data_root == '/mnt/sets/dronevehicle/'
    assert cell.cfg.val_evaluator.ann_file == '/mnt/sets/dronevehicle/annotations_val.json'
    assert cell.cfg.test_evaluator.ann_file == '/mnt/sets/dronevehicle/annotations_test.json'


def test_processes_that_cannot_share_a_batch_are_refused_before_jobs_are_submitted(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    code, out, err = in_tool(monkeypatch, capsys, 'miniature', '--gpus', 8, '--count')
    assert code == 1 and not out and '--gpus 8: the batch of configs/' in err
    assert in_tool(monkeypatch, capsys, 'miniature', '--gpus', 4, '--count')[:2] == (0, '42\n')


def test_a_cell_a_job_of_an_array_under_slurm(run_tool, tmp_path):
    """A stand-in for sbatch notes its words; the command of a job is one of reproduce.py."""
    (tmp_path / 'bin').mkdir()
    for name, text in (
        ('sbatch', '#!/usr/bin/env bash\nprintf "%s\\n" "$@" > "$WORDS"\n'),
        ('fake_python', '#!/usr/bin/env bash\n[ "${@: -1}" = --count ] && echo 12\n'),
    ):
        (tmp_path / 'bin' / name).write_text(text)
        (tmp_path / 'bin' / name).chmod(0o755)
    env = {
        'PATH': f'{tmp_path}/bin:{os.environ["PATH"]}', 'PYTHON': 'fake_python', 'GPUS': '4',
        'WORDS': str(tmp_path / 'words'), 'SBATCH_ARGS': '--time=24:00:00',
    }  # fmt: skip
    done = run_tool(
        'bash', ROOT / 'tools/slurm_reproduce.sh', 'gpu', 'claim', 'flir', '--data-root', 'a;b', env=env
    )
    assert done.returncode == 0, done.stderr
    words = (tmp_path / 'words').read_text().splitlines()
    assert {
        '--partition=gpu',
        '--array=0-11',
        '--gres=gpu:4',
        '--cpus-per-task=20',
        '--time=24:00:00',
    } <= set(words)
    assert words[-1].startswith('--wrap=fake_python -u ')
    assert words[-1].endswith(r'reproduce.py flir --data-root a\;b --gpus 4  --cell $SLURM_ARRAY_TASK_ID')
