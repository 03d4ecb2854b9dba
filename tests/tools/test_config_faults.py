"""Mistakes in configs and arguments, through train.py and test.py: one line and exit 1, nothing written."""

import pytest
import torch
from mmengine.registry import MODELS
from mmrotate.models.losses import RotatedIoULoss
from toy import ToyModel, failed, write_toy


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ("model = dict(type='ToyModle')", 'model.type: there is no ToyModle among the types'),
        ('model = dict(wdth=3)', "model.wdth: ToyModel.__init__() got an unexpected keyword argument 'wdth'"),
        ("model = dict(_delete_=True, type='ToyModel')", 'ToyModel.__init__() missing 1 required'),
        ("compile = dict(backnd='eager')", "compile.backnd: compile_features() got an unexpected keyword"),
        ('model = dict(width=10**6)', ': width < 10**6 does not hold'),
        ('model = dict(_delete_=True, width=4)', 'must contain the key "type"'),
        ("train_dataloader = dict(dataset=dict(type='ToyDat'))", 'dataset.type: there is no ToyDat'),
        ('train_dataloader = dict(dataset=dict(sorted=1))', 'train_dataloader.dataset.sorted: '),
        ('train_dataloader = dict(batch_sise=1)', "unexpected keyword argument 'batch_sise'"),
        ("train_dataloader = dict(sampler=dict(type='Nobody'))", 'sampler.type: there is no Nobody'),
        ("optim_wrapper = dict(optimizer=dict(type='SGDD'))", 'optimizer.type: there is no SGDD'),
        ('optim_wrapper = dict(optimizer=dict(momentun=1))', "unexpected keyword argument 'momentun'"),
        ("val_evaluator = dict(type='ToyMetrik')", 'val_evaluator.type: there is no ToyMetrik'),
        ("custom_hooks = [dict(type='mmslg.NoHook')]", 'custom_hooks.0.type: there is no mmslg.NoHook'),
        ("param_scheduler = [dict(type='LinearLR', ed=4)]", "unexpected keyword argument 'ed'"),
        ("param_scheduler = [dict(type='Linear', end=4)]", 'param_scheduler.0.type: there is no Linear'),
        ("train_cfg = dict(type='Loop')", 'train_cfg.type: there is no Loop'),
        ('default_hooks = dict(checkpoint=dict(intervl=1))', "unexpected keyword argument 'intervl'"),
        ('randomness = dict(sead=1)', 'randomness.sead: '),
        ("visualizer = dict(type='Nobody')", 'visualizer.type: there is no Nobody'),
        ('optim_wrapper = dict(optimizer=dict(weight_decay=-1))', 'Invalid weight_decay value: -1'),
        ("custom_hooks = [dict(type='EMAHook', ema_type='NoEMA')]", '0.ema_type: there is no NoEMA'),
        ("custom_hooks = [dict(type='EMAHook', momentun=1)]", 'custom_hooks.0.momentun: '),
        ('val_cfg = None', 'val_dataloader, val_cfg, and val_evaluator should be either all None'),
        ('trian_cfg = dict()', 'there is no setting trian_cfg; did you mean train_cfg?'),
        ('model = None', 'the config has no model'),
        ('x =', 'the config cannot be read: line '),
    ],
)  # fmt: skip
def test_a_mistake_in_the_config(run_train, tmp_path, change, message):
    config = write_toy(tmp_path, change + '\n')
    result = run_train(config)
    failed(result, message)
    assert result[2].strip().splitlines()[-1].startswith(f'error: {config}: ')
    assert not list(tmp_path.rglob('*.pth'))


@pytest.mark.parametrize(
    'words',
    [
        ['analysis/count_parameters', 'toy.py'],
        ['analysis/benchmark', 'toy.py'],
        ['analysis/benchmark', 'toy.py', '--dtype', 'float32', '--stream'],
        ['deploy/export', 'toy.py', 'toy.pth', '--out', 'out.onnx'],
        ['export_checkpoint', 'toy.pth', '--config', 'toy.py', '--out', 'out.pth'],
        ['reproduce', 'toy.py', '--dry-run'],
    ],
)
def test_a_config_without_a_model(run_toy, tmp_path, words):
    torch.save({'layer.bias': torch.zeros(1)}, tmp_path / 'toy.pth')
    (tmp_path / 'toy.py').write_text("train_cfg = dict(type='IterBasedTrainLoop', max_iters=4)\n")
    failed(run_toy(*words), 'toy.py: the config has no model')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['toy.pth', 'toy.py']


def test_a_config_that_cannot_be_trained(run_toy, tmp_path):
    (tmp_path / 'toy.py').write_text("model = dict(type='ToyModel', width=4)\n")
    failed(run_toy('reproduce', 'toy.py', '--dry-run'), 'toy.py: the config has no train_cfg')


def test_a_bug_keeps_its_traceback(run_train, tmp_path):
    config = write_toy(tmp_path, 'model = dict(bug=True)\n')
    with pytest.raises(TypeError, match=r'object of type .int. has no len'):
        run_train(config, '--work-dir', tmp_path / 'run')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--cfg-options', 'randomness.seed'], '--cfg-options randomness.seed: wanted KEY=VALUE'),
        (['--cfg-options', 'trian_cfg.max_iters=1'], 'no trian_cfg in the config; did you mean train_cfg?'),
        (['--launcher', 'pytorch'], '--launcher pytorch: RANK, LOCAL_RANK'),
        (['--launcher', 'slurm'], '--launcher slurm: SLURM_PROCID'),
        (['--work-dir', ''], '--work-dir (empty): wanted a folder'),
        (['--work-dir', 'toy_config.py'], '--work-dir toy_config.py: wanted a folder'),
        (['--work-dir', 'toy_config.py/below'], 'toy_config.py'),
        (['--work-dir', 'x' * 300], 'the name is too long'),
    ],
)
def test_arguments(run_train, toy_config, tmp_path, arguments, message, monkeypatch):
    for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    failed(run_train(toy_config, *arguments), message)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['toy_base.py', 'toy_config.py']


@pytest.mark.parametrize(
    'out', ['folder.pkl', '', 'toy_config.py', 'toy_config.py/o.pkl', 'x' * 260 + '.pkl']
)
def test_out_that_cannot_be_written(run_test, toy_config, toy_run, tmp_path, out):
    (tmp_path / 'folder.pkl').mkdir()
    before = sorted(tmp_path.iterdir())
    failed(run_test(toy_config, toy_run / 'iter_4.pth', '--work-dir', toy_run, '--out', out), out[:10])
    assert sorted(tmp_path.iterdir()) == before


def test_out_that_is_the_checkpoint(run_test, toy_config, toy_run):
    data = (toy_run / 'iter_4.pth').read_bytes()
    renamed = (toy_run / 'iter_4.pth').rename(toy_run / 'weights.pkl')
    failed(run_test(toy_config, renamed, '--out', renamed), 'the output is the input')
    assert renamed.read_bytes() == data


@MODELS.register_module(force=True)
class ToyOfRotatedBoxes(ToyModel):
    """It holds a loss without a kernel for CPUs."""

    def __init__(self, width):
        super().__init__(width)
        self.loss_bbox = RotatedIoULoss()


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU has the kernel')
def test_a_loss_without_a_kernel_for_cpus(run_train, tmp_path):
    config = write_toy(tmp_path, "model = dict(type='ToyOfRotatedBoxes')\n")
    result = run_train(config, '--work-dir', tmp_path / 'run')
    failed(result, 'toy_config.py: RotatedIoULoss wants a GPU, since mmcv has no diff_iou_rotated for CPUs')
    assert not list((tmp_path / 'run').rglob('*.pth'))
