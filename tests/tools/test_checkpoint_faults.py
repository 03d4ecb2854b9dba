"""Checkpoints, resuming and full disks, through train.py and test.py: one line and exit 1, nothing lost."""

import os
import resource
from contextlib import contextmanager

import pytest
import torch
from toy import done, failed, write_toy

from mmslg.engine.checkpoints import read_checkpoint
from reproduction.machine import free_port


def test_a_run(run_train, run_test, toy_config, toy_run):
    assert sorted(p.name for p in toy_run.glob('*.pth')) == ['iter_4.pth']  # one is kept
    assert (toy_run / 'last_checkpoint').read_text() == str(toy_run / 'iter_4.pth')
    log = done(run_test(toy_config, toy_run / 'iter_4.pth', '--out', toy_run / 'o.pkl'))
    assert 'toy/count: 8' in log and f'predictions in {toy_run / "o.pkl"}' in log
    assert (toy_run / 'o.pkl').stat().st_size > 0 and not list(toy_run.glob('.*'))


def test_config_and_checkpoint_in_the_other_order(run_test, toy_config, toy_run):
    file = toy_run / 'iter_4.pth'
    failed(run_test(file, toy_config), f'{file}: a checkpoint, wanted a config')


def test_resume_with_nothing_to_resume_keeps_load_from(run_train, toy_config, toy_run, tmp_path):
    new = tmp_path / 'new'
    option = f'load_from={toy_run / "iter_4.pth"}'
    log = done(run_train(toy_config, '--work-dir', new, '--resume', '--cfg-options', option))
    assert f'nothing to resume in {new}: starting from load_from {toy_run / "iter_4.pth"}' in log
    assert 'Load checkpoint from' in log and '2 of 2 tensors match' in log
    log = done(run_train(toy_config, '--work-dir', tmp_path / 'newer', '--resume'))
    assert 'nothing to resume in ' in log and 'starting from scratch' in log and 'Load checkpoint' not in log


def test_resume_goes_on_and_not_from_load_from(run_train, toy_config, toy_run, tmp_path):
    options = ['--cfg-options', 'train_cfg.max_iters=6', f'load_from={tmp_path / "never.pth"}']
    log = done(run_train(toy_config, '--work-dir', toy_run, '--resume', *options))
    assert 'resumed epoch: 0, iter: 4' in log and 'nothing to resume' not in log
    assert [p.name for p in toy_run.glob('*.pth')] == ['iter_6.pth']
    moved = toy_run.rename(tmp_path / 'moved')  # last_checkpoint names the former place
    log = done(
        run_train(toy_config, '--work-dir', moved, '--resume', '--cfg-options', 'train_cfg.max_iters=7')
    )
    assert 'resumed epoch: 0, iter: 6' in log


def test_resume_in_the_config_is_the_same(run_train, tmp_path, toy_run):
    config = write_toy(tmp_path, f'resume = True\nwork_dir = {str(toy_run)!r}\n')
    failed(run_train(config), 'iter_4.pth: has 4 of 4 iterations, nothing is left to train')


def test_resume_of_a_finished_run(run_train, toy_config, toy_run, tmp_path):
    failed(
        run_train(toy_config, '--work-dir', toy_run, '--resume'),
        'iter_4.pth: has 4 of 4 iterations, nothing is left to train; raise train_cfg.max_iters, or test it',
    )
    epochs = write_toy(
        tmp_path, "train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=1)\n"
    )
    done(
        run_train(
            epochs,
            '--work-dir',
            tmp_path / 'epochs',
            '--cfg-options',
            'default_hooks.checkpoint.by_epoch=True',
        )
    )
    failed(
        run_train(epochs, '--work-dir', tmp_path / 'epochs', '--resume'),
        'epoch_1.pth: has 1 of 1 epochs, nothing is left to train; raise train_cfg.max_epochs, or test it',
    )


@pytest.mark.parametrize(
    'content', [b'', b'nowhere.pth', b'\xff\xfe\0\x01', b'a\nb', b'/' + b'x' * 5000, b'.'], ids=range(6)
)
def test_last_checkpoint_that_names_nothing(run_train, toy_config, tmp_path, content):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/last_checkpoint').write_bytes(content)
    failed(
        run_train(toy_config, '--work-dir', tmp_path / 'run', '--resume'),
        'and there is no such checkpoint; give --resume',
    )
    assert [p.name for p in (tmp_path / 'run').iterdir()] == ['last_checkpoint']


def truncated(path, data):
    path.write_bytes(data[: len(data) // 2])
    return 'the file is truncated or damaged'


def text(path, data):
    path.write_text('no checkpoint at all\n')
    return 'it is no file of PyTorch, or a damaged one'


def listed(path, data):
    torch.save([torch.zeros(3)], path)
    return 'wanted a checkpoint with weights by name, got a list'


def tensor(path, data):
    torch.save(torch.zeros(3), path)
    return 'wanted a checkpoint with weights by name, got a tensor'


def code(path, data):
    torch.save({'state_dict': {'layer.bias': torch.zeros(1)}, 'x': input}, path)
    return 'not a checkpoint that can be loaded safely (it holds input, which is neither'


def nan(path, data):
    checkpoint = read_checkpoint(str(path))
    checkpoint['state_dict']['layer.weight'][0, 2] = torch.nan
    torch.save(checkpoint, path)
    return 'layer.weight of state_dict holds NaN or infinite values'


@pytest.mark.parametrize('fault', [truncated, text, listed, tensor, code, nan], ids=lambda f: f.__name__)
def test_a_bad_checkpoint_at_every_door(run_train, run_test, toy_config, toy_run, fault, tmp_path):
    file = toy_run / 'iter_4.pth'
    message = fault(file, file.read_bytes())
    more = ['--cfg-options', 'train_cfg.max_iters=6']
    failed(run_train(toy_config, '--work-dir', toy_run, '--resume', *more), message)
    new = ['--work-dir', tmp_path / 'new']
    for result in (
        run_train(toy_config, *new, '--resume', file, *more),
        run_train(toy_config, *new, '--cfg-options', f'load_from={file}'),
        run_test(toy_config, file, *new),
    ):
        failed(result, message)
        assert 'weights_only' not in result[1] + result[2] and not (tmp_path / 'new').exists()


def test_a_url_that_nobody_answers(run_train, run_test, toy_config, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    url = 'http://127.0.0.1:9/a.pth'
    for result in (
        run_train(toy_config, '--cfg-options', f'load_from={url}'),
        run_train(toy_config, '--resume', url),
        run_test(toy_config, url),
    ):
        failed(result, f'{url}: the checkpoint cannot be downloaded')


def test_weights_alone(run_train, run_test, toy_config, toy_run, tmp_path):
    """They can be tested and started from, and not resumed."""
    weights = tmp_path / 'weights.pth'
    torch.save(read_checkpoint(str(toy_run / 'iter_4.pth'))['state_dict'], weights)
    assert '2 of 2 tensors match' in done(run_test(toy_config, weights))
    done(run_train(toy_config, '--cfg-options', f'load_from={weights}'))
    failed(
        run_train(toy_config, '--resume', weights), 'weights.pth: it holds weights and no state of a training'
    )


def test_classes_in_another_order(run_train, run_test, toy_run, tmp_path):
    config = write_toy(
        tmp_path,
        "_m = dict(metainfo=dict(classes=('car', 'person')))\n"
        'train_dataloader = dict(dataset=_m)\n'
        'val_dataloader = dict(dataset=_m)\n'
        'test_dataloader = dict(dataset=_m)\n',
    )
    file = toy_run / 'iter_4.pth'
    message = 'trained on the classes person, car; the config has car, person in another order'
    failed(run_test(config, file), f'{file}: the checkpoint was {message}')
    failed(run_train(config, '--resume', file, '--cfg-options', 'train_cfg.max_iters=6'), message)
    assert f'{message}: this is a fine-tuning' in done(
        run_train(config, '--cfg-options', f'load_from={file}')
    )


@contextmanager
def largest_file(size):
    """No file may grow larger, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_was_full_before(run_train, toy_config, tmp_path):
    """The log takes no more; the run's folder is named."""
    with largest_file(3000):
        failed(run_train(toy_config, '--work-dir', tmp_path / 'run'), '/run: the file exceeds the largest')
    assert not list(tmp_path.rglob('*.pth'))


def test_a_full_disk_costs_no_checkpoint(run_train, tmp_path):
    """The checkpoint before is still there and can be resumed; nothing of the new one is."""
    slow = 'optim_wrapper = dict(optimizer=dict(lr=1e-9))\n'
    config = write_toy(tmp_path, f'model = dict(width=100000)\n{slow}')
    run = ['--work-dir', tmp_path / 'run']
    done(run_train(config, *run))
    data = (tmp_path / 'run/iter_4.pth').read_bytes()
    more = ['--resume', '--cfg-options', 'train_cfg.max_iters=6']
    with largest_file(200_000):
        failed(run_train(config, *run, *more), 'iter_6.pth: the file exceeds the largest size')
    assert [p.name for p in (tmp_path / 'run').glob('*.pth')] == ['iter_4.pth']
    assert not [p for p in (tmp_path / 'run').iterdir() if p.name.startswith('.')]
    assert (tmp_path / 'run/iter_4.pth').read_bytes() == data
    assert 'resumed epoch: 0, iter: 4' in done(run_train(config, *run, *more))


@pytest.mark.skipif(torch.cuda.is_available(), reason='with a GPU it is NCCL')
def test_a_task_of_slurm_without_a_gpu(run_train, run_test, toy_config, tmp_path, monkeypatch):
    """A stand-in for Slurm: its environment and a scontrol; the model trains as DDP over Gloo."""
    (tmp_path / 'bin').mkdir()
    scontrol = tmp_path / 'bin/scontrol'
    scontrol.write_text('#!/bin/sh\necho localhost\n')
    scontrol.chmod(0o755)
    task = dict(SLURM_PROCID='0', SLURM_LOCALID='0', SLURM_NTASKS='1', SLURM_NODELIST='node[1-2]')
    task['MASTER_PORT'] = free_port()
    for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    for name, value in task.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv('PATH', f'{scontrol.parent}:{os.environ["PATH"]}')
    run = ['--work-dir', tmp_path / 'run', '--launcher', 'slurm']
    try:
        log = done(run_train(toy_config, *run))
        assert 'no GPU here: gloo in the place of nccl' in log and 'Distributed launcher: slurm' in log
        assert torch.distributed.is_initialized()
        out = tmp_path / 'o.pkl'
        assert 'toy/count: 8' in done(run_test(toy_config, tmp_path / 'run/iter_4.pth', *run, '--out', out))
        assert out.stat().st_size
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ('part', 'value', 'message'),
    [
        (
            'optimizer',
            {},
            "does not fit the config (KeyError: 'param_groups'); resume with the config of the",
        ),
        ('optimizer', [1], 'it holds weights and no state of a training'),
        ('message_hub', 3, 'it holds weights and no state of a training'),
        ('message_hub', {}, 'the state of its training does not fit the config (AssertionError'),
        ('param_schedulers', 3, 'the state of its training does not fit the config (TypeError'),
        ('meta', dict(iter=-5, epoch=0), 'it holds weights and no state of a training'),
    ],
)
def test_a_state_of_another_training(run_train, toy_config, toy_run, part, value, message):
    checkpoint = {**read_checkpoint(str(toy_run / 'iter_4.pth')), part: value}
    torch.save(checkpoint, toy_run / 'odd.pth')
    more = ['--cfg-options', 'train_cfg.max_iters=6']
    failed(run_train(toy_config, '--resume', toy_run / 'odd.pth', *more), message)


def test_a_checkpoint_without_schedules(run_train, toy_config, tmp_path):
    run = ['--work-dir', tmp_path / 'run']
    option = 'default_hooks.checkpoint.save_param_scheduler=False'
    done(run_train(toy_config, *run, '--cfg-options', option))
    failed(
        run_train(toy_config, *run, '--resume', '--cfg-options', 'train_cfg.max_iters=6'),
        'iter_4.pth: it was saved without the schedules of the learning rate',
    )


@pytest.mark.parametrize('classes', ['person', 3], ids=str)
def test_classes_of_a_checkpoint_that_are_no_list(run_train, run_test, toy_config, toy_run, classes):
    checkpoint = read_checkpoint(str(toy_run / 'iter_4.pth'))
    checkpoint['meta']['dataset_meta'] = dict(classes=classes)
    torch.save(checkpoint, toy_run / 'odd.pth')
    if classes == 'person':
        failed(run_test(toy_config, toy_run / 'odd.pth'), 'was trained on the classes person; the config has')
    else:
        done(run_test(toy_config, toy_run / 'odd.pth'))


def test_a_config_within_a_checkpoint_is_not_run(run_train, toy_config, toy_run, tmp_path):
    """MMEngine's resume reads ``meta['config']`` by running it."""
    checkpoint = read_checkpoint(str(toy_run / 'iter_4.pth'))
    checkpoint['meta']['config'] = f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
    torch.save(checkpoint, toy_run / 'iter_4.pth')
    more = ['--cfg-options', 'train_cfg.max_iters=6']
    done(run_train(toy_config, '--work-dir', toy_run, '--resume', *more))
    assert not (tmp_path / 'ran').exists()
