"""Numbers that are not finite, through train.py: one line and exit 1, before anything is learnt from them."""

import pytest
import torch
from mmengine.optim.optimizer import amp_optimizer_wrapper
from toy import done, failed, write_toy

from mmslg.apis import launch
from mmslg.engine.precision_hook import describe_precision
from mmslg.models.backbones import FrozenTrunk


def config(tmp_path, loss, more=''):
    """A toy whose loss is an expression of ``out``, the outputs (2, 1), and ``inputs``, 0-7."""
    return write_toy(tmp_path, f'model = dict(loss={loss!r})\n{more}')


@pytest.fixture
def steps(monkeypatch):
    """Counts the steps of the optimizer."""
    made = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, 'step', lambda self, *args: made.append(1) or step(self, *args))
    return made


@pytest.fixture
def scaled(monkeypatch):
    """Settings of a run with AmpOptimWrapper, here on the CPU, that survives huge gradients."""
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', lambda **kw: torch.amp.GradScaler('cpu', **kw))
    monkeypatch.setattr(launch, 'fit_to_machine', lambda cfg: None)
    return "optim_wrapper = dict(type='AmpOptimWrapper', optimizer=dict(lr=1e-38))\n"


@pytest.mark.parametrize('value', ['nan', 'inf'])
def test_a_loss_that_is_not_finite_ends_the_run(run_train, tmp_path, steps, value):
    loss = f"out.mean().abs() * (float('{value}') if max(inputs) == 7 else 1)"
    result = run_train(config(tmp_path, loss), '--work-dir', tmp_path / 'run')
    failed(result, f'iteration {len(steps) + 1}: loss is {value}; nothing was learnt from it')
    assert not list((tmp_path / 'run').glob('iter_4.pth'))


def test_a_gradient_that_is_not_finite_ends_the_run(run_train, tmp_path, steps):
    clipped = 'optim_wrapper = dict(clip_grad=dict(max_norm=1.0))\n'
    file = config(tmp_path, '(out * 0).abs().sqrt().sum()', clipped)
    result = run_train(file, '--work-dir', tmp_path / 'run')
    failed(result, 'iteration 1: the gradient norm is nan, all losses are finite')


def test_weights_that_are_not_finite_are_not_saved(run_train, tmp_path):
    file = config(tmp_path, '(out * 0).abs().sqrt().sum()')
    often = 'default_hooks.checkpoint.interval=1'
    result = run_train(file, '--work-dir', tmp_path / 'run', '--cfg-options', often)
    failed(result, 'iteration 1: layer.weight is not finite, and no checkpoint was written')
    assert not list((tmp_path / 'run').rglob('*.pth*')) and not (tmp_path / 'run/last_checkpoint').exists()


def test_skipped_steps_are_counted(run_train, tmp_path, steps, scaled):
    file = config(tmp_path, 'out.mean() * 1e36', scaled + 'train_cfg = dict(max_iters=12, val_interval=12)\n')
    log = done(run_train(file, '--work-dir', tmp_path / 'run'))
    skipped = 12 - len(steps)
    assert 5 < skipped < 12
    assert f'step skipped at iteration {skipped}: a gradient is not finite; loss scale now' in log
    assert f'{skipped} skipped so far' in log and f'the loss scaler skipped {skipped} steps' in log
    assert 'precision: features under autocast, TF32 off' in log


def test_skipping_on_and_on_ends_the_run(run_train, tmp_path, steps, scaled):
    limit = 'default_hooks = dict(precision=dict(max_skipped=3))\n'
    file = config(tmp_path, '(out * 0).abs().sqrt().sum()', scaled + limit)
    result = run_train(file, '--work-dir', tmp_path / 'run')
    failed(
        result, 'a gradient is not finite, and so for 3 steps in a row, down to a loss scale of 8192; train'
    )
    assert not steps


def test_the_precision_is_set_and_said(run_train, tmp_path):
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags]
    try:
        log = done(run_train(config(tmp_path, 'out.mean()'), '--work-dir', tmp_path / 'run'))
        assert 'computed with: TF32 off' in log and not any(flag.allow_tf32 for flag in flags)
        option = 'default_hooks.precision.tf32=True'
        log = done(
            run_train(tmp_path / 'toy_config.py', '--work-dir', tmp_path / 'new', '--cfg-options', option)
        )
        assert 'computed with: TF32 on' in log and all(flag.allow_tf32 for flag in flags)
    finally:
        for flag, value in zip(flags, before):
            flag.allow_tf32 = value


def test_the_trunk_is_described():
    trunk = FrozenTrunk('vit_small_patch14_dinov2', depth=1, embed_dim=24, num_heads=2, dtype='bfloat16')
    assert describe_precision(torch.nn.Sequential(trunk), True).startswith('trunk bfloat16, features under')
