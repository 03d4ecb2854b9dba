"""The batch and the learning rate that training really uses."""

from __future__ import annotations

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmslg.registry import HOOKS


@HOOKS.register_module()
class EffectiveBatchHook(Hook):
    """Log the effective batch size and learning rates, and warn when the batch is not the recipe's.

    A learning rate belongs to a batch size. Nothing is scaled silently: with another number of GPUs
    than the config was written for, the log says so and names ``--auto-scale-lr``.
    """

    priority = 'VERY_LOW'

    def before_train(self, runner) -> None:
        """Log once, before the first step."""
        per_process = runner.train_dataloader.batch_sampler.batch_size
        accumulated = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        processes = get_world_size()
        batch = per_process * processes * accumulated
        rates = sorted(
            {
                group['initial_lr'] if 'initial_lr' in group else group['lr']
                for group in runner.optim_wrapper.optimizer.param_groups
            }
        )
        message = (
            f'effective batch {batch} = {per_process} a process x {processes} processes x {accumulated} '
            f'accumulated; learning rates {", ".join(f"{r:.3g}" for r in rates)}'
        )
        auto = runner.cfg.get('auto_scale_lr') or {}
        base = auto.get('base_batch_size')
        if base and base != batch:
            message += (
                f"; scaled from the recipe's batch {base}"
                if auto.get('enable')
                else f"; NOTE: the recipe's learning rate is for batch {base}, and nothing was scaled "
                '(--auto-scale-lr does)'
            )
        print_log(message, 'current')
