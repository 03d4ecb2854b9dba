"""In which precision a run computes, and whether it still does so with finite numbers."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmslg.errors import InputError
from mmslg.models.backbones import FrozenTrunk
from mmslg.models.modules import bare_model, first_of
from mmslg.registry import HOOKS


def describe_precision(model: nn.Module, autocast: bool = False) -> str:
    """Say in which precision a model computes, such as ``trunk bfloat16, TF32 off``.

    Args:
        model: The detector.
        autocast: Whether it runs under autocast.
    """
    trunk = first_of(model, FrozenTrunk)
    parts = [f'trunk {str(trunk.dtype).removeprefix("torch.")}'] if trunk else []
    parts += ['features under autocast'] if autocast else []
    tf32 = torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32
    return ', '.join([*parts, f'TF32 {"on" if tf32 else "off"}'])


@HOOKS.register_module()
class PrecisionHook(Hook):
    """Set and say the precision of a run, and end it before numbers that are not finite are learnt from.

    A loss that is NaN or infinite ends the run before the backward pass, a gradient norm (where gradients
    are clipped) before the optimizer's step. Under a loss scaler, steps that it skips are counted and logged.

    Args:
        tf32: Let matrix products and convolutions in float32 run in TF32 (10 bits of mantissa) on GPUs that
            have it. PyTorch by itself lets convolutions.
        max_skipped: So many steps skipped in a row by the loss scaler end the run.

    Raises:
        InputError: A loss, the gradient or a weight to save is not finite, or steps are skipped on and on.
    """

    def __init__(self, tf32: bool = False, max_skipped: int = 25) -> None:
        self.tf32 = tf32
        self.max_skipped = max_skipped
        self._handles: list = []
        self._stepped = False
        self._skipped = self._skipped_in_a_row = 0

    def before_run(self, runner) -> None:
        """Set the precision of products in float32."""
        torch.backends.cuda.matmul.allow_tf32 = self.tf32
        torch.backends.cudnn.allow_tf32 = self.tf32

    def before_train(self, runner) -> None:
        """Begin to watch losses and steps."""
        model = bare_model(runner.model)
        print_log(f'precision: {describe_precision(model, _scaler(runner) is not None)}', 'current')

        def check_losses(module: nn.Module, args: Any, output: Any) -> None:
            if module.training and isinstance(output, dict):
                _check_losses(output, runner.iter + 1)

        self._handles = [model.register_forward_hook(check_losses)]
        if isinstance(runner.optim_wrapper, OptimWrapper):
            optimizer = runner.optim_wrapper.optimizer
            self._handles += [
                optimizer.register_step_pre_hook(lambda *_: _check_gradient(runner)),
                optimizer.register_step_post_hook(lambda *_: self._count_step()),
            ]

    def _count_step(self) -> None:
        self._stepped = True

    def after_train_iter(self, runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Count the steps that the loss scaler skipped."""
        scaler = _scaler(runner)
        if scaler is None or not runner.optim_wrapper.should_update():
            return
        if self._stepped:
            self._stepped, self._skipped_in_a_row = False, 0
            return
        self._skipped += 1
        self._skipped_in_a_row += 1
        what = f'step skipped at iteration {runner.iter + 1}: a gradient is not finite'
        print_log(f'{what}; loss scale now {scaler.get_scale():g}, {self._skipped} skipped so far', 'current')
        if self._skipped_in_a_row >= self.max_skipped:
            raise InputError(
                f'{what}, and so for {self._skipped_in_a_row} steps in a row, down to a loss scale of '
                f'{scaler.get_scale():g}; train without --amp'
            )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep the earlier checkpoint if weights of this one are not finite; it would replace that."""
        for name, value in checkpoint['state_dict'].items():
            if not value.isfinite().all():
                raise InputError(
                    f'iteration {checkpoint["meta"]["iter"]}: {name} is not finite, and no checkpoint was '
                    'written. Lower the learning rate, and start from an earlier checkpoint'
                )

    def after_train(self, runner) -> None:
        """Stop watching, and say how many steps were skipped."""
        for handle in self._handles:
            handle.remove()
        if self._skipped:
            print_log(f'the loss scaler skipped {self._skipped} steps', 'current')

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        """Say in which precision the figures were computed."""
        _say(runner, runner.val_loop)

    def after_test_epoch(self, runner, metrics: dict | None = None) -> None:
        """Say in which precision the figures were computed."""
        _say(runner, runner.test_loop)


def _scaler(runner) -> Any:
    return getattr(runner.optim_wrapper, 'loss_scaler', None)


def describe_loop(runner, loop: Any) -> str:
    """Return the precision in which a validation or test loop computes, in one line."""
    return describe_precision(bare_model(runner.model), bool(getattr(loop, 'fp16', False)))


def _say(runner, loop: Any) -> None:
    print_log(f'computed with: {describe_loop(runner, loop)}', 'current')


def _check_losses(losses: dict[str, Tensor | list[Tensor]], iteration: int) -> None:
    sums = {name: sum(v.detach().float().sum() for v in _listed(value)) for name, value in losses.items()}
    sums = {name: value for name, value in sums.items() if isinstance(value, Tensor)}
    if not sums or torch.stack(list(sums.values())).isfinite().all():
        return
    found = ', '.join(f'{name} is {value.item()}' for name, value in sums.items() if not value.isfinite())
    raise InputError(
        f'iteration {iteration}: {found}; nothing was learnt from it. Lower the learning rate, or start '
        'from an earlier checkpoint'
    )


def _listed(value: Any) -> list[Tensor]:
    return [v for v in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(v, Tensor)]


def _check_gradient(runner) -> None:
    norms = runner.message_hub.log_scalars.get('train/grad_norm')  # there is one if gradients are clipped
    norm = norms.current() if norms else 0.0
    if not math.isfinite(norm):
        raise InputError(
            f'iteration {runner.iter + 1}: the gradient norm is {norm}, all losses are finite; nothing was '
            'learnt from it. Lower the learning rate, or start from an earlier checkpoint'
        )
