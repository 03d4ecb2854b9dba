"""Staged unfreezing of the trunk's last blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop

from mmslg.errors import InputError
from mmslg.models.backbones import FrozenTrunk
from mmslg.models.modules import first_of
from mmslg.registry import HOOKS


@HOOKS.register_module()
class UnfreezeHook(Hook):
    """Let the trunk's trainable blocks learn from milestones on, the last ones first.

    Until then they are frozen: no gradient, no step, no weight decay, eval mode. The optimizer holds their
    parameters from the start, so that groups, schedules and resumption do not change with the stage. In
    several processes the config needs ``find_unused_parameters=True``: a stage has fewer gradients than
    are waited for otherwise.

    Args:
        milestones: Numbers of finished epochs, ascending from 0: at each, an equal share of the trainable
            blocks begins to learn; all of them learn from the last on.
        by_epoch: Whether milestones are epochs; else they are iterations.

    Raises:
        InputError: Milestones do not ascend, or are epochs of a run that counts iterations; nothing of the
            trunk is to learn; or processes would wait for gradients that do not come.
    """

    def __init__(self, milestones: Sequence[int], by_epoch: bool = True) -> None:
        if (
            not milestones
            or any(type(m) is not int or m < 0 for m in milestones)
            or list(milestones) != sorted(set(milestones))
        ):
            raise InputError(f'UnfreezeHook(milestones={milestones}): wanted ascending numbers from 0')
        self.milestones = list(milestones)
        self.by_epoch = by_epoch
        self._blocks: int | None = None

    def before_train(self, runner) -> None:
        """Freeze what does not learn yet."""
        if self.by_epoch and isinstance(runner.train_loop, IterBasedTrainLoop):
            raise InputError(
                'UnfreezeHook: the run counts iterations, so no milestone in epochs would come; set '
                'by_epoch=False and milestones in iterations'
            )
        if not self._trunk(runner).trainable:
            raise InputError(
                'UnfreezeHook: nothing of the trunk is to learn; set model.backbone.trunk.trainable to how '
                'many of its last blocks shall'
            )
        if is_model_wrapper(runner.model) and not getattr(runner.model, 'find_unused_parameters', True):
            raise InputError(
                'UnfreezeHook in several processes wants find_unused_parameters=True at the top of the config'
            )
        self._set(runner)

    def before_train_epoch(self, runner) -> None:
        """Let more blocks learn, if it is an epoch for that."""
        self._set(runner)

    def before_train_iter(self, runner, batch_idx: int, data_batch: Any = None) -> None:
        """Let more blocks learn, if it is an iteration for that."""
        if not self.by_epoch:
            self._set(runner)

    def _trunk(self, runner) -> FrozenTrunk:
        trunk = first_of(runner.model, FrozenTrunk)
        if trunk is None:
            raise InputError('UnfreezeHook: the model has no mmslg.FrozenTrunk')
        return trunk

    def _set(self, runner) -> None:
        trunk = self._trunk(runner)
        passed = sum(m <= (runner.epoch if self.by_epoch else runner.iter) for m in self.milestones)
        blocks = math.ceil(trunk.trainable * passed / len(self.milestones))
        if blocks != self._blocks:
            self._blocks = blocks
            trunk.unfreeze(blocks)
            print_log(
                f'of the trunk the last {blocks} of {trunk.trainable} trainable blocks learn', 'current'
            )
