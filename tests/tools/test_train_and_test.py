"""Whole runs of train.py, test.py and their distributed twins, and what bad input says."""

import json
import re

import cv2
import numpy as np
import pytest
import torch
from helpers import LEAN, ROOT, TINY, iterations, make_pairs, write_captions, write_leaf
from mmengine.runner import CheckpointLoader

MINI = 'configs/slgnet_mini.py'


def train(run_tool, folder, work_dir, *options, iters=4, args=(), env=None):
    words = [*TINY, *iterations(iters), *options]
    return run_tool(
        'tools/train.py', folder / 'leaf.py', '--work-dir', work_dir, *args, '--cfg-options', *words, env=env
    )


def failed(process, message):
    """Exit code 1, and the last line of stderr is the one clear line; no traceback."""
    assert process.returncode == 1, process.stdout[-2000:] + process.stderr[-2000:]
    assert 'Traceback' not in process.stdout + process.stderr
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith('error: ') and re.search(message, last), last


@pytest.fixture(scope='module')
def trained(run_tool, tmp_path_factory):
    """A finished run: its pairs, its work folder, its process."""
    folder, work_dir = make_pairs(tmp_path_factory.mktemp('run') / 'pairs'), tmp_path_factory.mktemp('run')
    process = train(run_tool, folder, work_dir)
    assert process.returncode == 0, process.stderr[-3000:]
    return folder, work_dir, process


def test_training_logs_what_it_does(trained):
    _, work_dir, process = trained
    assert (work_dir / 'iter_4.pth').is_file() and (work_dir / 'last_checkpoint').is_file()
    log = process.stdout + process.stderr
    assert 'OneDL' not in process.stdout, 'it prints what a library says to its developers'
    assert 'effective batch 4 = 4 a process x 1 processes x 1 accumulated; learning rates 0.0015' in log
    assert 'boxes drawn in: ir' in log
    scalars = next(work_dir.glob('*/vis_data/scalars.json')).read_text().splitlines()
    assert any('coco/bbox_mAP_50' in json.loads(line) for line in scalars)


def test_the_trunk_in_the_checkpoint_is_the_one_of_the_start(trained, run_quickly):
    folder, work_dir, _ = trained
    train(run_quickly, folder, work_dir / 'one', iters=1)
    first, last = (
        CheckpointLoader.load_checkpoint(str(p))['state_dict']
        for p in (work_dir / 'one/iter_1.pth', work_dir / 'iter_4.pth')
    )
    trunk = [k for k in first if k.startswith('backbone.trunk.')]
    assert trunk and all(torch.equal(first[k], last[k]) for k in trunk)
    assert not torch.equal(first['bbox_head.atss_cls.weight'], last['bbox_head.atss_cls.weight'])


def test_resume_goes_on(trained, run_quickly):
    folder, work_dir, _ = trained
    process = train(run_quickly, folder, work_dir, iters=6, args=['--resume'])
    assert process.returncode == 0, process.stderr[-3000:]
    assert 'resumed epoch: 0, iter: 4' in process.stdout + process.stderr
    assert (work_dir / 'iter_6.pth').is_file()


def test_testing_writes_table_predictions_and_pictures(trained, run_quickly):
    folder, work_dir, _ = trained
    out = work_dir / 'out.pkl'
    checkpoint = (work_dir / 'last_checkpoint').read_text()
    process = run_quickly(
        'tools/test.py', folder / 'leaf.py', checkpoint, '--work-dir', work_dir / 'test', '--out', out,
        '--show-dir', 'shown', '--cfg-options', *TINY,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-3000:]
    log = process.stdout + process.stderr
    assert re.search(r'\nperson +\d', log) and 'protocol: COCO mAP' in log and 'coco/bbox_mAP_50' in log
    assert re.search(r'checkpoint .*: \d+ of \d+ tensors match, 0 missing', log)
    assert out.is_file() and len(list((work_dir / 'test').rglob('*.png'))) == 3
    assert 'trained on other images' not in log


def test_a_checkpoint_of_other_images(trained, run_quickly, tmp_path):
    """Their weights fit a config that feeds one image twice; all that runs a detector says so once."""
    folder, work_dir, _ = trained
    checkpoint = (work_dir / 'last_checkpoint').read_text()
    rgb, ir = 'model.data_preprocessor.modality=rgb', 'model.backbone.trunk_input=ir'
    said = f'{checkpoint}: it was trained on other images than this config gives it (model.'
    for tool, words, options, differs in (
        (
            'test.py',
            ['--work-dir', tmp_path / 'a'],
            [rgb],
            "data_preprocessor.modality was 'both' and is 'rgb')",
        ),
        ('analysis/draw_predictions.py', ['--num', 1], [ir], "backbone.trunk_input was 'rgb' and is 'ir')"),
    ):
        words = [folder / 'leaf.py', checkpoint, *words, '--cfg-options', *TINY, *options]
        process = run_quickly(f'tools/{tool}', *words)
        assert process.returncode == 0, process.stderr[-3000:]
        log = process.stdout + process.stderr
        assert log.count(said) == log.count(said + differs) == 1, log[-3000:]
    words = [folder / 'leaf.py', checkpoint, '--out', tmp_path / 'c', '--first', 9]  # which it has not
    process = run_quickly('tools/analysis/robustness.py', *words, '--cfg-options', *TINY, rgb)
    assert process.returncode == 1 and process.stderr.count(f'warning: {said}') == 1, process.stderr[-3000:]
    process = train(run_quickly, folder, tmp_path / 'b', f'load_from={checkpoint}', rgb, iters=1)
    assert process.returncode == 0, process.stderr[-3000:]
    assert (process.stdout + process.stderr).count(said) == 1


def test_a_checkpoint_of_another_model(trained, run_quickly, tmp_path):
    folder, work_dir, _ = trained

    def test(checkpoint, *options):
        return run_quickly(
            'tools/test.py', folder / 'leaf.py', checkpoint, '--work-dir', tmp_path,
            '--cfg-options', *TINY, *options,
        )  # fmt: skip

    torch.save({'state_dict': {'conv1.weight': torch.zeros(3)}}, tmp_path / 'resnet.pth')
    failed(test(tmp_path / 'resnet.pth'), 'resnet.pth: no key of the checkpoint matches the model')
    state = CheckpointLoader.load_checkpoint((work_dir / 'last_checkpoint').read_text())['state_dict']
    state.pop('neck.1.levels.s8.0.weight')
    torch.save({'state_dict': state}, tmp_path / 'part.pth')
    failed(
        test(tmp_path / 'part.pth'),
        r'part.pth: the checkpoint does not fit the config: .* 1 missing \(neck.1.levels',
    )
    failed(test(tmp_path / 'nothing.pth'), 'nothing.pth: no such checkpoint')
    torch.save({'state_dict': state, 'hook': input}, tmp_path / 'code.pth')
    failed(test(tmp_path / 'code.pth'), 'code.pth: not a checkpoint that can be loaded safely')


def replace_text(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def missing_infrared(folder):
    (folder / 'infrared/train_002.png').unlink()
    return 'infrared/train_002.png: no such infrared image; 1 of 4'


def other_size(folder):
    cv2.imwrite(str(folder / 'infrared/train_002.png'), np.zeros((32, 48), np.uint8))
    return 'infrared/train_002.png: the infrared image is 48x32 pixels, the visible one 96x64'


def other_aspect(folder):
    cv2.imwrite(str(folder / 'infrared/train_002.png'), np.zeros((64, 64), np.uint8))
    return 'train_002.png: the infrared image is 64x64 pixels'


def truncated_jpeg(folder):
    path = folder / 'visible/train_002.png'
    image = cv2.imread(str(path))
    _, data = cv2.imencode('.jpg', image)
    path.write_bytes(data.tobytes()[: len(data) // 2])
    return 'visible/train_002.png: the visible JPEG is truncated'


def empty_annotations(folder):
    (folder / 'annotations_train.json').write_text('')
    return 'annotations_train.json: the file is empty'


def dangling_annotation(folder):
    replace_text(folder / 'annotations_train.json', lambda d: d['annotations'][0].update(image_id=99))
    return 'annotations_train.json: annotation 1 points to image 99'


def missing_caption(folder):
    write_captions(folder / 'captions.safetensors', ['train_001.png'])
    return r'no caption for image (train|test)_\d+.png'


def narrow_captions(folder):
    names = [p.name for p in (folder / 'visible').iterdir()]
    write_captions(folder / 'captions.safetensors', names, width=64)
    return r'LanguageGuidedModulation\(text_dims=512\) got captions of width 64'


@pytest.mark.parametrize(
    'defect',
    [
        missing_infrared,
        other_size,
        other_aspect,
        truncated_jpeg,
        empty_annotations,
        dangling_annotation,
        missing_caption,
        narrow_captions,
    ],
    ids=lambda d: d.__name__,
)
@pytest.mark.parametrize('workers', [0, 1])
def test_bad_data_is_one_line_and_exit_code_1(run_quickly, pairs, tmp_path, defect, workers):
    if workers and defect not in (other_size, truncated_jpeg):
        pytest.skip('found before a worker starts')
    message = defect(pairs)
    process = train(run_quickly, pairs, tmp_path / 'run', f'train_dataloader.num_workers={workers}')
    failed(process, message)
    assert not list((tmp_path / 'run').glob('*.pth'))


def test_bad_models_are_one_line_and_exit_code_1(run_quickly, pairs, tmp_path):
    def without(step):
        return train(run_quickly, pairs, tmp_path / 'run', *step)

    scale = 'train_dataloader.dataset.pipeline.resize.scale=(75,50)'
    failed(
        without(['model.data_preprocessor.pad_size_divisor=1', scale]),
        'not divisible by the stride 32; set pad_size_divisor=32',
    )
    failed(
        without(['train_dataloader.dataset.pipeline.infrared.type=mmdet.PhotoMetricDistortion']),
        r'wants an image \(H, W, 4\), got \(\d+, \d+, 3\)',
    )
    failed(
        without(['model.backbone.trunk.checkpoint=nothing.pth']),
        'nothing.pth: no such file, wanted a checkpoint of the frozen trunk',
    )


def test_bad_arguments(run_quickly, tmp_path):
    failed(run_quickly('tools/train.py', 'configs/none.py'), 'configs/none.py: no such config')
    failed(run_quickly('tools/test.py', MINI, 'x.pth', '--out', 'x.txt'), 'wanted a name that ends in .pkl')
    if not torch.cuda.is_available():
        failed(run_quickly('tools/train.py', MINI, '--amp', '--work-dir', tmp_path), '--amp needs a GPU')


@pytest.mark.slow
def test_two_processes_train_one_model(run_tool, pairs, tmp_path):
    """Both ranks end with the same weights, over gloo on the CPU."""
    (tmp_path / 'dump_hook.py').write_text(
        'import os, torch\n'
        'from mmengine.hooks import Hook\nfrom mmengine.registry import HOOKS\n'
        '@HOOKS.register_module()\n'
        'class DumpRank(Hook):\n'
        '    def after_train(self, runner):\n'
        "        path = os.environ['DUMP'] + os.environ['RANK'] + '.pth'\n"
        '        torch.save(runner.model.module.state_dict(), path)\n'
    )
    more = (
        "custom_imports = dict(imports='dump_hook')\n"
        "custom_hooks = [*_base_.custom_hooks, dict(type='DumpRank')]\n"
        "train_dataloader['batch_size'] = 2\n"
    )
    config = write_leaf(pairs, name='dumping.py', more=more)
    process = run_tool(
        'bash', 'tools/dist_train.sh', config, 2, '--work-dir', tmp_path / 'run',
        '--cfg-options', *TINY, *iterations(3),
        env={'DUMP': str(tmp_path / 'rank'), 'PORT': '29517',
             'PYTHONPATH': f'{ROOT}:{LEAN}:{tmp_path}'},
    )  # fmt: skip
    log = process.stdout + process.stderr
    assert process.returncode == 0, log[-3000:]
    assert 'effective batch 4 = 2 a process x 2 processes x 1 accumulated; learning rates 0.0015' in log
    assert 'no GPU here: gloo in the place of nccl' in log or torch.cuda.is_available()
    first, second = (torch.load(tmp_path / f'rank{r}.pth') for r in (0, 1))
    assert first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_subset_of_annotations(run_quickly, pairs, tmp_path):
    source, out = pairs / 'annotations_train.json', tmp_path / 'first.json'
    process = run_quickly('tools/subset_annotations.py', source, '--first', 2, '--out', out)
    assert process.returncode == 0 and '2 images, 2 annotations' in process.stdout
    data = json.loads(out.read_text())
    assert [i['id'] for i in data['images']] == [1, 2] == [a['image_id'] for a in data['annotations']]
    failed(
        run_quickly('tools/subset_annotations.py', source, '--first', 9, '--out', tmp_path / 'x'),
        'lists 4 images',
    )
    assert not (tmp_path / 'x').exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--data', 'nowhere'], 'nowhere/annotations_train.json: missing; --data wants visible/, infrared/'),
        (['--first', 'x'], '--first x: wanted a number'),
        (['--speed'], 'unknown option --speed'),
        (['a', 'b'], 'one WORK_DIR at most'),
        (['--data'], '--data wants a folder'),
    ],
)
def test_quickstart_says_what_is_wrong(run_tool, tmp_path, arguments, message):
    failed(run_tool('bash', ROOT / 'tools/quickstart.sh', *arguments, cwd=tmp_path), message)
    assert not list(tmp_path.iterdir())
