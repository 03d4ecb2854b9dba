import json
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from forked import run_forked
from helpers import run_analysis as run_tool
from helpers import run_here
from mmengine.structures import InstanceData

from mmslg.apis.launch import read_config
from mmslg.apis.profiling import build_detector, check_gradients, count_parameters, find_parts, toy_batch
from mmslg.captions import StructuredCaption, write_store
from mmslg.captions.encoders.hashed import HashedTextEncoder
from mmslg.visualization.pair_visualizer import draw_sample
from mmslg.visualization.palette import class_colour
from mmslg.visualization.samples import build_split

ROOT = Path(__file__).parents[2]
MINI = ROOT / 'configs' / 'slgnet_mini.py'
KEYS = ('day/0.png', 'day/1.png', 'night.png')
# Visible images are 160x128 pixels, blue with one green car at x 20-59, y 30-79.
CAR = [20, 30, 40, 50]
CAPTION = StructuredCaption('very dark night', 'highway', 'sparse vehicles', 'low thermal contrast')
CONFIG = """
_base_ = {base!r}
model = dict(
    backbone=dict(trunk=dict(checkpoint=None, depth=2, embed_dim=48)),
    neck=[
        dict(type='mmslg.LanguageGuidedModulation', in_channels=48, text_dims=512, hidden_dims=64),
        dict(type='mmslg.SimpleFeaturePyramid', in_channels=48, out_channels=96),
    ],
    bbox_head=dict(num_classes=3),
)
pipeline = [
    dict(type='mmslg.LoadVisible'),
    dict(type='mmslg.LoadInfrared'),
    dict(type='Resize', scale=(320, 256), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='mmslg.PackPairedInputs'),
]
dataset = dict(
    type='mmslg.PairedCocoDataset',
    data_root={root!r},
    ann_file='annotations.json',
    caption_store='captions.safetensors',
    metainfo=dict(classes=('person', 'car', 'bicycle')),
)
augmented = [*pipeline[:2], pipeline[3], pipeline[2], dict(type='RandomCrop', crop_size=(240, 200)),
             dict(type='RandomFlip', prob=0.5), *pipeline[4:]]
train_dataloader = dict(_delete_=True, batch_size=1, dataset=dict(pipeline=augmented, **dataset))
test_dataloader = dict(_delete_=True, dataset=dict(pipeline=pipeline, test_mode=True, **dataset))
val_dataloader = test_dataloader
"""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    # Tiny layers: more threads only wait for each other.
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp('pairs')
    for key in KEYS:
        visible = np.full((128, 160, 3), (120, 0, 0), np.uint8)
        infrared = np.full((128, 160), 60, np.uint8)
        visible[30:80, 20:60] = (0, 120, 0)
        infrared[30:80, 20:60] = 220
        for folder, picture in (('visible', visible), ('infrared', infrared)):
            (root / folder / key).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / folder / key), picture)
    content = {
        'info': {'label_modality': 'both'},
        'categories': [{'id': i + 1, 'name': name} for i, name in enumerate(('person', 'car', 'bicycle'))],
        'images': [{'id': i, 'file_name': key, 'width': 160, 'height': 128} for i, key in enumerate(KEYS)],
        'annotations': [
            {'id': i + 1, 'image_id': i, 'category_id': 2, 'bbox': CAR, 'area': 2000, 'iscrowd': 0}
            for i in range(len(KEYS))
        ],
    }
    (root / 'annotations.json').write_text(json.dumps(content))
    write_store(root / 'captions.safetensors', dict.fromkeys(KEYS, CAPTION), HashedTextEncoder(512))
    config = root / 'slgnet_tiny.py'
    config.write_text(CONFIG.format(base=str(MINI), root=str(root)))
    return config


def tool_module(name):
    return runpy.run_path(str(ROOT / 'tools' / 'analysis' / name))


def pixel(page, x, y):
    return tuple(int(v) for v in page[y, x])


def tiny_detector(config):
    cfg = read_config(str(config))
    return build_detector(cfg), cfg


def test_count_parameters(tmp_path, config, monkeypatch, capsys):
    args = '--json', tmp_path / 'count.json', '--size', '128x96'
    assert not run_here('count_parameters.py', monkeypatch, config, *args)
    assert 'every trainable parameter gets a gradient' in capsys.readouterr().out
    figures = json.loads((tmp_path / 'count.json').read_text())
    assert figures['gradients'] == {'ok': True, 'without': [], 'not_finite': [], 'frozen_with': []}
    rows = {row['name']: row for row in figures['parameters']}
    # LGM, text 512, hidden 64, 48 channels: projection, then twice (64 -> 64 -> 48).
    lgm = (2048 * 64 + 64) + (64 * 64 + 64) + 2 * ((64 * 64 + 64) + (64 * 48 + 48))
    assert rows['LGM']['trainable'] == lgm
    assert rows['frozen trunk']['trainable'] == 0 and rows['frozen trunk']['frozen'] > 0
    adapters = sum(row['trainable'] for name, row in rows.items() if name.startswith('adapter '))
    assert rows['SA-Adapter']['trainable'] == rows['structure encoder']['trainable'] + adapters
    assert rows['SA-Adapter + LGM']['trainable'] == rows['SA-Adapter']['trainable'] + lgm
    for kind in ('trainable', 'frozen'):
        parts = sum(row[kind] for row in figures['parameters'] if not row['subtotal'])
        assert rows['total'][kind] == parts > 0


def test_gradient_check_names_what_is_wrong(config):
    model, cfg = tiny_detector(config)
    batch = toy_batch(model, cfg, (128, 96), 1)
    model.unused = torch.nn.Linear(2, 2)
    find_parts(model).trunk.vit.norm.weight.requires_grad_()
    report = check_gradients(model, batch)
    assert not report.ok
    assert report.without == ['unused.weight', 'unused.bias']
    assert report.frozen_with == ['backbone.trunk.vit.norm.weight']
    assert count_parameters(model)[0].trainable == 48


def test_benchmark(tmp_path, config, monkeypatch, capsys):
    def in_a_fork(command, **_):
        def tool(rank):
            sys.argv = command[command.index('ignore') + 1 :]
            runpy.run_path(sys.argv[0], run_name='__main__')

        ((code, said),) = run_forked(tool, tmp_path / 'alone', number=1)
        return subprocess.CompletedProcess(command, code, said, said)

    monkeypatch.setattr(subprocess, 'run', in_a_fork)  # memory is measured in a process of its own
    args = ['--size', '64x64', '--repeats', 2, '--variants', 'backbone', '--breakdown']
    args += ['--json', tmp_path / 'b.json']
    code = run_here('benchmark.py', monkeypatch, config, *args)  # fmt: skip
    assert not code
    figures = json.loads((tmp_path / 'b.json').read_text())
    assert list(figures['variants']) == ['trunk', 'backbone']
    trunk = figures['variants']['trunk']
    assert trunk['forward']['ratio'] == trunk['step']['ratio'] == {'median': 1, 'min': 1, 'max': 1}
    for variant in figures['variants'].values():
        assert variant['peak_gb']['step'] > 0.01 and variant['forward']['seconds']['min'] > 0
    layers = [row['layer'] for row in figures['breakdown']]
    assert layers[:3] == ['structure encoder', 'adapter 0: injection', 'adapter 0: evolution']
    assert layers[-5:] == ['LGM', *(f'pyramid, stride {stride}' for stride in (8, 16, 32, 64))]
    printed = capsys.readouterr().out
    assert 'backbone + necks' in printed and '% of trunk forward' in printed


def test_benchmark_of_a_stream(tmp_path, config, monkeypatch, capsys):
    args = ['--stream', 'inferencer', '--size', '64x64', '64x32', '--batch', '1', '2', '--repeats', '1']
    json_file = tmp_path / 'stream.json'
    assert not run_here('benchmark.py', monkeypatch, config, *args, '--json', json_file)
    rows = json.loads(json_file.read_text())['rows']
    assert [(row['size'], row['batch'], row['runner']) for row in rows] == [
        (size, batch, runner)
        for size in ([64, 64], [64, 32])
        for batch in (1, 2)
        for runner in ('trunk', 'inferencer')
    ]
    assert all(row['pairs_per_second'] > 0 for row in rows)
    assert rows[0]['ratio'] == dict(median=1, min=1, max=1)
    assert run_here('benchmark.py', monkeypatch, config, '--batch', '1', '2') == 2
    assert 'belong to --stream' in capsys.readouterr().err


def test_benchmark_refuses_a_size_that_would_be_padded(config, monkeypatch, capsys):
    assert run_here('benchmark.py', monkeypatch, config, '--size', '100x64') == 1
    assert capsys.readouterr().err == 'error: --size 100x64: wanted multiples of 32\n'


def test_browse_pairs(tmp_path, config):
    done = run_tool(
        'browse_pairs.py',
        config,
        '--split',
        'test',
        '--num',
        2,
        '--out',
        tmp_path / 'out',
        '--json',
        tmp_path / 'b.json',
    )
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert names == ['000_day_0.png', '001_day_1.png', 'contact_sheet.png']
    pairs = json.loads((tmp_path / 'b.json').read_text())['pairs']
    # 160x128 becomes 320x256, and the annotations, loaded after, go with it.
    assert pairs[1]['size'] == [320, 256]
    assert pairs[1]['boxes'] == [{'class': 'car', 'box': [40.0, 60.0, 120.0, 160.0]}]
    assert list(pairs[1]['caption'].values()) == list(CAPTION.components())
    page = cv2.imread(str(tmp_path / 'out' / names[0]))
    # Doubled again to 640x512 each: 50 above, 10 around, 30 for the legend, 30 for the caption.
    assert page.shape == (50 + 512 + 10 + 30 + 30, 10 + 640 + 10 + 640 + 10, 3)
    for left in (10, 660):
        for x, y in ((80, 200), (240, 200), (160, 320)):
            assert pixel(page, left + x, 50 + y) == class_colour(1)
    assert pixel(page, 10 + 160, 50 + 220) == (0, 120, 0) and pixel(page, 10 + 40, 50 + 220) == (120, 0, 0)
    assert pixel(page, 660 + 160, 50 + 220) == (220,) * 3 and pixel(page, 660 + 40, 50 + 220) == (60,) * 3


def test_browse_pairs_after_augmentation(tmp_path, config, monkeypatch):
    out = tmp_path / 'b.json'
    assert not run_here('browse_pairs.py', monkeypatch, config, '--num', 3, '--out', tmp_path, '--json', out)
    pages = [pair for pair in json.loads(out.read_text())['pairs'] if pair['boxes']]
    assert pages
    for pair in pages:
        page = cv2.imread(str(tmp_path / pair['picture']))
        factor = 2 if max(pair['size']) < 480 else 1
        x1, y1, x2, y2 = pair['boxes'][0]['box']
        x, y = round((x1 + x2) / 2 * factor), round((y1 + y2) / 2 * factor)
        assert pixel(page, 10 + x, 50 + y) == (0, 120, 0)


def test_browse_several_draws_of_a_pair(tmp_path, config, monkeypatch):
    out = tmp_path / 'b.json'
    options = ('--num', 2, '--draws', 3, '--out', tmp_path, '--json', out)
    assert not run_here('browse_pairs.py', monkeypatch, config, *options)
    pages = json.loads(out.read_text())['pairs']
    assert len({page['picture'] for page in pages}) == 6
    assert all((tmp_path / page['picture']).is_file() for page in pages)
    assert [page['picture'][:3] for page in pages] == ['000'] * 3 + ['001'] * 3


WRAPPED = """
_base_ = {base!r}
_part = dict(pipeline=_base_.augmented, **_base_.dataset)
_repeated = dict(type='RepeatDataset', times=2, dataset=_part)
_other = dict(_part, caption_store='others.safetensors')
_all = dict(type='ConcatDataset', datasets=[_repeated, _other])
train_dataloader = dict(dataset=dict(_delete_=True, **_all))
"""


@pytest.fixture
def wrapped(config, tmp_path):
    """The pairs twice, and once more with other captions, in one training set."""
    texts = [StructuredCaption(f'kind {key}', 'highway', 'sparse vehicles', 'warm') for key in KEYS]
    write_store(config.parent / 'others.safetensors', dict(zip(KEYS, texts)), HashedTextEncoder(512))
    path = tmp_path / 'wrapped.py'
    path.write_text(WRAPPED.format(base=str(config)))
    return path


def test_browse_pairs_of_several_datasets_in_one(tmp_path, wrapped, monkeypatch):
    out = tmp_path / 'b.json'
    assert not run_here('browse_pairs.py', monkeypatch, wrapped, '--num', 9, '--out', tmp_path, '--json', out)
    pairs = json.loads(out.read_text())['pairs']
    assert [pair['file_name'] for pair in pairs] == [*KEYS] * 3
    assert [pair['caption']['environment'] for pair in pairs[:6]] == ['very dark night'] * 6
    assert [pair['caption']['environment'] for pair in pairs[6:]] == [f'kind {key}' for key in KEYS]
    assert len([*tmp_path.glob('00?_*.png')]) == 9


def test_a_wrapped_training_set_without_augmentation(wrapped):
    dataset = build_split(read_config(str(wrapped)), 'train', as_test=True)
    assert len(dataset) == 9
    for i in range(9):
        sample = dataset[i]['data_samples']
        assert sample.img_shape[:2] == (256, 320) and not sample.get('flip')
        assert sample.gt_instances.bboxes.tensor.tolist() == [[20.0, 30, 60, 80]]


def save_checkpoint(path, config):
    model, _ = tiny_detector(config)
    state = model.state_dict()
    torch.save({'state_dict': state}, path)
    return state


def test_draw_predictions(tmp_path, config, monkeypatch, capsys):
    state = save_checkpoint(tmp_path / 'w.pth', config)
    args = [
        '--num', 2, '--score-thr', 0.0, '--out', tmp_path / 'out', '--json', tmp_path / 'p.json',
    ]  # fmt: skip
    assert not run_here('draw_predictions.py', monkeypatch, config, tmp_path / 'w.pth', *args)
    assert f'2 pictures and contact_sheet.png in {tmp_path / "out"}' in capsys.readouterr().out
    figures = json.loads((tmp_path / 'p.json').read_text())
    # Evenly spread: the first and the last of three.
    assert [pair['picture'] for pair in figures['pairs']] == ['000_day_0.png', '002_night.png']
    assert figures['pairs'][0]['ground_truth'] == [{'class': 'car', 'box': [20.0, 30.0, 60.0, 80.0]}]
    assert all(set(found) == {'class', 'box', 'score'} for found in figures['pairs'][0]['predictions'])

    removed = next(iter(state))
    torch.save({'state_dict': {k: v for k, v in state.items() if k != removed}}, tmp_path / 'w.pth')
    capsys.readouterr()
    assert run_here('draw_predictions.py', monkeypatch, config, tmp_path / 'w.pth', *args) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert (
        error.startswith('error: ') and f'{len(state) - 1} of {len(state)} tensors match, 1 missing' in error
    )
    assert removed in error


def test_predictions_are_drawn_where_they_were_found(config):
    dataset = build_split(read_config(str(config)), 'test')
    sample = dataset[0]['data_samples']
    # Both in pixels of the original, 160x128; the picture is 320x256, the packed image too.
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[100.0, 30, 140, 80]]), labels=torch.tensor([0]))
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[20.0, 30, 60, 80]]), labels=torch.tensor([0]), scores=torch.tensor([0.9])
    )
    page = draw_sample(sample, ('person',))
    for left, ground in ((10, (120, 0, 0)), (340, (60,) * 3)):
        for x in (40, 120):
            assert pixel(page, left + x, 50 + 100) == class_colour(0)
        edge = page[50 + 60 : 50 + 160, left + 200, 0]
        assert set(edge.tolist()) == {255, 40}
        assert pixel(page, left + 250, 50 + 100) == ground


def test_the_caption_alone_changes_what_is_found(tmp_path, config, monkeypatch, capsys):
    texts = [StructuredCaption(f'kind {key}', 'highway', 'sparse vehicles', 'warm') for key in KEYS]
    write_store(tmp_path / 'c.safetensors', dict(zip(KEYS, texts)), HashedTextEncoder(512))
    arguments = [
        '--out', tmp_path / 'out', '--json', tmp_path / 'c.json', '--score-thr', 0.0, '--cfg-options',
        'model.test_cfg.score_thr=0.0', f'test_dataloader.dataset.caption_store={tmp_path}/c.safetensors',
    ]  # fmt: skip
    save_checkpoint(tmp_path / 'w.pth', config)  # LGM as it starts: captions say nothing yet
    assert not run_here('caption_effect.py', monkeypatch, config, tmp_path / 'w.pth', *arguments)
    total = json.loads((tmp_path / 'c.json').read_text())['total']
    assert (total['gone'], total['come'], total['score_change']) == (0, 0, 0) and total['detections'] > 0

    state = save_checkpoint(tmp_path / 'w.pth', config)
    for name, tensor in state.items():
        if name.startswith('neck.0.') and not tensor.any():
            tensor += torch.randn(tensor.shape)
    torch.save({'state_dict': state}, tmp_path / 'w.pth')
    assert not run_here('caption_effect.py', monkeypatch, config, tmp_path / 'w.pth', *arguments)
    assert 'have come; scores of the others change by' in capsys.readouterr().out
    figures = json.loads((tmp_path / 'c.json').read_text())
    assert figures['total']['score_change'] > 0
    assert all(row['own'] != row['other'] for row in figures['pairs'])
    assert (tmp_path / 'out/contact_sheet.png').is_file()


@pytest.mark.parametrize(
    ('tool', 'args', 'message'),
    [
        ('caption_effect.py', [MINI, 'nowhere.pth'], 'error: nowhere.pth: no such checkpoint'),
        ('count_parameters.py', ['nowhere.py'], 'error: nowhere.py: no such config'),
        ('browse_pairs.py', [MINI, '--num', '0'], 'error: --num 0: wanted at least 1'),
        ('browse_pairs.py', [MINI, '--draws', '0'], 'error: --draws 0: wanted at least 1'),
        ('draw_predictions.py', [MINI, 'nowhere.pth'], 'error: nowhere.pth: no such checkpoint'),
        ('plot_curves.py', ['nowhere'], 'error: nowhere: no such folder'),
        (
            'plot_curves.py',
            [ROOT / 'configs'],
            f'error: {ROOT / "configs"}: no */vis_data/scalars.json there; ',
        ),
        (
            'count_parameters.py',
            [MINI, '--cfg-options', 'model.neck.99.type=x'],
            f'error: {MINI}: --cfg-options ',
        ),
    ],
)
def test_bad_input_ends_with_one_line(tool, args, message, monkeypatch, capsys):
    assert run_here(tool, monkeypatch, *args) == 1
    error = capsys.readouterr().err
    assert error.startswith(message) and error.count('\n') == 1


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--out', ''], "error: --out '': wanted a folder, got an empty name"),
        (['--out', 'file'], 'error: file: wanted a folder, this is a file'),
        (
            ['--out', 'file/below'],
            'file/below: a part of the path is a file, and no folder',
        ),
        (['--out', 'x' * 256], 'the name is too long; choose a shorter one'),
        (['--out', 'loop'], 'a symbolic link that leads back to itself; remove it'),
        (['--out', 'new', '--json', ''], 'wanted the name of a file to write, got an empty one'),
        (['--out', 'new', '--json', 'folder'], 'folder: a folder, wanted the name of a file to write'),
    ],
)
@pytest.mark.parametrize('tool', ['browse_pairs.py', 'draw_predictions.py', 'caption_effect.py'])
def test_outputs_that_cannot_be_written_leave_nothing(
    tool, options, message, config, tmp_path, monkeypatch, capsys
):
    (tmp_path / 'file').touch()
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'loop').symlink_to('loop')
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob('*'))
    checkpoint = [] if tool == 'browse_pairs.py' else ['none.pth']
    assert run_here(tool, monkeypatch, config, *checkpoint, *options) == 1
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize(
    ('tool', 'args'),
    [
        ('browse_pairs.py', []),
        ('draw_predictions.py', ['none.pth']),
        ('caption_effect.py', ['none.pth']),
        ('error_analysis.py', ['none.pth']),
        ('explain_pair.py', ['none.pth', '--rgb', 'none.jpg', '--ir', 'none.png']),
    ],
)
def test_a_folder_that_takes_no_files_is_said_before_anything_is_read(
    tool, args, read_only, monkeypatch, capsys
):
    out = read_only / 'new/out'
    assert run_here(tool, monkeypatch, 'none.py', *args, '--out', out) == 1
    assert capsys.readouterr().err == f'error: {out}: the disk is read-only; write elsewhere\n'


@pytest.mark.parametrize('tool', ['draw_predictions.py', 'caption_effect.py', 'deploy/infer_ray.py'])
def test_a_score_that_is_none(monkeypatch, capsys, tool):
    words = 'config.py', 'checkpoint.pth', '--pairs', 'pairs.jsonl', '--out', 'found'
    assert run_here(tool, monkeypatch, *words, '--score-thr=2') == 2
    assert "--score-thr: wanted a score from 0 to 1, got '2'" in capsys.readouterr().err
