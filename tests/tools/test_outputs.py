"""Where tools cannot write: one line that names the place, and nothing is left there."""

import json
import os
import shutil
import subprocess

import pytest
import torch
from conversion.folders import llvip
from evaluation.drawn import draw_split
from helpers import TINY, iterations, make_pairs, run_here
from mmengine.config import Config

from mmslg.apis.launch import parse_options, read_config
from mmslg.apis.profiling import build_detector
from mmslg.captions.schema import CaptionRecord, StructuredCaption, write_captions
from mmslg.engine.identity import claim, run_identity


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
    """A folder with something to read for every tool."""
    folder = tmp_path_factory.mktemp('inputs')
    make_pairs(folder / 'pairs')
    (folder / 'kaist').mkdir()
    (folder / 'kaist' / 'set06_V000_I00019.txt').write_text(
        '% bbGt version=3\nperson 100 100 30 60 0 0 0 0 0 0 0\n'
    )
    (folder / 'kaist.txt').write_text('1,100,100,30,60,1\n')
    for name, data in zip(('gt.json', 'dets.json'), draw_split()):
        (folder / name).write_text(json.dumps(data))
    (folder / 'run/1/vis_data').mkdir(parents=True)
    (folder / 'run/1/vis_data/scalars.json').write_text('{"loss": 4.0, "iter": 1, "epoch": 1, "step": 1}\n')
    caption = StructuredCaption('daylight', 'street', 'a car', 'warm')
    write_captions(folder / 'captions.jsonl', [CaptionRecord('train_001.png', caption, 'mine', '1')])
    llvip(folder / 'llvip', size=(64, 48))
    leaf = str(folder / 'pairs/leaf.py')
    model = build_detector(read_config(leaf, parse_options(TINY)))
    torch.save(dict(meta={}, state_dict=model.state_dict()), folder / 'untrained.pth')
    run = folder / 'compared/leaf/seed_0'  # as reproduce.py leaves a finished one
    claim(run, run_identity(read_config(leaf, parse_options(['randomness.seed=0', *TINY]))))
    (run / 'figures.json').write_text('{"metrics": {"coco/bbox_mAP": 0.5, "coco/bbox_mAP_50": 0.7}}')
    return folder


KAIST = ('eval_kaist.py', '--gt', 'kaist', '--dets', 'kaist.txt')
CONFIG = ('pairs/leaf.py',)
SETTINGS = ('--cfg-options', *TINY)
MODEL = (*CONFIG, 'untrained.pth', *SETTINGS)
REPRODUCE = ('reproduce.py', *CONFIG, '--seeds', '0', *SETTINGS)
SMALL = ('--train', '1', '--test', '1', '--size', '160x128', '--workers', '1')
EXPORT = ('export_checkpoint.py', 'untrained.pth', '--config', *CONFIG, *SETTINGS)
FILES = {
    'export': (*EXPORT, '--out', '.pth'),
    'new_config': ('new_config.py', 'pairs', '--out', '.py'),
    'subset': ('subset_annotations.py', 'pairs/annotations_test.json', '--first', '1', '--out', '.json'),
    'kaist_json': (*KAIST, '--json', '.json'),
    'kaist_plot': (*KAIST, '--plot', '.png'),
    'coco': ('eval_coco.py', '--gt', 'gt.json', '--dets', 'dets.json', '--json', '.json'),
    'curves': ('plot_curves.py', 'run', '--out', '.png'),
    'curves_json': ('plot_curves.py', 'run', '--json', '.json'),
    'generate': ('captions/generate.py', 'pairs/annotations_test.json', '--out', '.jsonl'),
    'encode': ('captions/encode.py', 'captions.jsonl', '--encoder', 'hashed', '--out', '.safetensors'),
    'report_json': ('captions/report.py', 'captions.jsonl', '--json', '.json'),
    'verify_json': ('verify_data.py', 'llvip', 'llvip', '--workers', '0', '--json', '.json'),
    'verify_plot': ('verify_data.py', 'llvip', 'llvip', '--workers', '0', '--plot', '.png'),
    'browse_json': ('browse_pairs.py', *CONFIG, '--num', '1', '--json', '.json'),
    'draw_json': ('draw_predictions.py', *MODEL, '--num', '1', '--json', '.json'),
    'effect_json': ('caption_effect.py', *MODEL, '--num', '1', '--json', '.json'),
    'reproduce': (*REPRODUCE, '--work-dir', 'compared', '--out', '.md'),
    'count': ('count_parameters.py', *CONFIG, *SETTINGS, '--size', '64x64', '--json', '.json'),
    'benchmark': (
        *('benchmark.py', *CONFIG, *SETTINGS, '--size', '64x64', '--repeats', '1'),
        *('--variants', 'backbone', '--json', '.json'),
    ),
    'test_out': ('test.py', *MODEL, '--work-dir', 'work_dirs', '--out', '.pkl'),
    'sheet': ('make_sample_scenes.py', 'new_scenes', *SMALL, '--sheet', '.png'),
}
FOLDERS = {
    'convert': ('convert.py', 'llvip', 'llvip', '--out', ''),
    'report': ('captions/report.py', 'captions.jsonl', '--out', ''),
    'browse': ('browse_pairs.py', *CONFIG, '--num', '1', '--out', ''),
    'draw': ('draw_predictions.py', *MODEL, '--num', '1', '--out', ''),
    'effect': ('caption_effect.py', *MODEL, '--num', '1', '--out', ''),
    'reproduce': (*REPRODUCE, '--work-dir', ''),
    'train': ('train.py', *CONFIG, *SETTINGS, *iterations(1), '--work-dir', ''),
    'test': ('test.py', *MODEL, '--work-dir', ''),
    'test_show': ('test.py', *MODEL, '--work-dir', 'work_dirs', '--show-dir', ''),
    'scenes': ('make_sample_scenes.py', *SMALL, ''),
}
OTHER = {'new_scenes', 'captions_report', 'work_dirs'}  # what a tool writes besides
PLACES = {
    'full': ('full_disk/out', 'the disk is full'),
    'read_only': ('read_only/out', 'read-only'),
    'below_a_file': ('file/out', 'a part of the path is a file'),
    'a_long_name': ('x' * 300, 'the name is too long'),
    'nothing': ('', ''),
    'a_folder': ('folder', 'folder'),
}


def spare_time(monkeypatch):
    """Leave out what takes longest: printing the config, processes in which memory is measured."""
    monkeypatch.setattr(Config, 'pretty_text', 'the config')
    start = subprocess.run

    def run(command, *args, **options):
        if '--alone' in command:
            return subprocess.CompletedProcess(command, 0, '1 1 1', '')
        return start(command, *args, **options)

    monkeypatch.setattr(subprocess, 'run', run)


def check(command, place, tmp_path, inputs, monkeypatch, capfd):
    name, message = PLACES[place]
    *command, suffix = command
    (tmp_path / 'file').write_text('x')
    (tmp_path / 'folder').mkdir()
    for item in inputs.iterdir():
        (tmp_path / item.name).symlink_to(item)
    out = tmp_path / f'folder{suffix}'
    if place == 'a_folder':
        if not out.exists():
            out.mkdir()
        name = out.name
    elif name:
        name += suffix
        if '--show-dir' in command:  # others lie below WORK_DIR/TIME
            name = str(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    spare_time(monkeypatch)

    def listing():
        return sorted(str(path) for path in tmp_path.rglob('*') if not OTHER & set(path.parts))

    before = listing()
    code = run_here(command[0], monkeypatch, *command[1:], name)
    told = capfd.readouterr().err.splitlines()
    assert code == 1, told
    line = told[-1]
    assert [text for text in told if 'error' in text.lower() or 'Traceback' in text] == [line]
    assert line.startswith('error: ') and message in line and name[-250:].rstrip('/') in line
    assert name[-250:].rstrip('/') in line
    assert listing() == before


@pytest.mark.parametrize('place', PLACES)
@pytest.mark.parametrize('tool', FILES)
def test_a_file_that_cannot_be_written(
    tool, place, tmp_path, inputs, full_disk, read_only, monkeypatch, capfd
):
    check(FILES[tool], place, tmp_path, inputs, monkeypatch, capfd)


@pytest.mark.parametrize('place', [place for place in PLACES if place != 'a_folder'])
@pytest.mark.parametrize('tool', FOLDERS)
def test_a_folder_that_cannot_be_written(
    tool, place, tmp_path, inputs, full_disk, read_only, monkeypatch, capfd
):
    check(FOLDERS[tool], place, tmp_path, inputs, monkeypatch, capfd)


INPUTS = {  # a tool that would write over what it reads: the command, the input
    'subset': (FILES['subset'], 'pairs/annotations_test.json'),
    'generate': (FILES['generate'], 'pairs/annotations_test.json'),
    'encode': (FILES['encode'], 'captions.jsonl'),
    'report': (FILES['report_json'], 'captions.jsonl'),
    'coco_truth': (FILES['coco'], 'gt.json'),
    'coco_found': (FILES['coco'], 'dets.json'),
    'kaist_truth': (FILES['kaist_json'], 'kaist/set06_V000_I00019.txt'),
    'kaist_found': (FILES['kaist_json'], 'kaist.txt'),
    'verify': (FILES['verify_json'], 'llvip/Annotations/190001.xml'),
    'new_config': (FILES['new_config'], 'pairs/leaf.py'),
    'draw': (FILES['draw_json'], 'untrained.pth'),
    'draw_config': (FILES['draw_json'], 'pairs/leaf.py'),
    'effect': (FILES['effect_json'], 'untrained.pth'),
    'browse': (FILES['browse_json'], 'pairs/leaf.py'),
    'count': (FILES['count'], 'pairs/leaf.py'),
    'benchmark': (FILES['benchmark'], 'pairs/leaf.py'),
    'curves': (FILES['curves_json'], 'run/1/vis_data/scalars.json'),
}


@pytest.mark.parametrize('linked', [False, True], ids=['itself', 'a_link'])
@pytest.mark.parametrize('tool', INPUTS)
def test_an_input_is_not_written_over(tool, linked, tmp_path, inputs, monkeypatch, capfd):
    command, name = INPUTS[tool]
    for item in inputs.iterdir():
        (shutil.copytree if item.is_dir() else shutil.copy)(item, tmp_path / item.name)
    before = (tmp_path / name).read_bytes()
    monkeypatch.chdir(tmp_path)
    spare_time(monkeypatch)
    more = ['--base', 'pairs/leaf.py'] if tool == 'new_config' else []
    out = name
    if linked:
        out = f'link{os.path.splitext(name)[1]}'
        os.symlink(name, out)
    code = run_here(command[0], monkeypatch, *command[1:-1], out, *more)
    told = capfd.readouterr().err.splitlines()
    assert code == 1, told
    assert told[-1].startswith('error: ') and out in told[-1]
    assert (tmp_path / name).read_bytes() == before
    assert not linked or os.path.islink(out)
