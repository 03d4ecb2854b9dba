"""Checkpoints while training: an old one is deleted when the new one is there, not before."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine import hooks
from mmengine.dist import is_main_process

from mmslg.errors import InputError
from mmslg.registry import HOOKS
from mmslg.utils.io import atomic_path


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """MMEngine's hook, which never leaves a work folder without a whole checkpoint.

    MMEngine deletes the oldest checkpoint first and writes the new one over; a full disk or a kill in
    between costs both. Here the new one is written beside and renamed (:class:`mmslg.engine.PairRunner`),
    then ``last_checkpoint`` in the same way, and then the oldest is deleted.

    Args:
        kwargs: As MMEngine's; a name that it does not know is refused at once.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        if '{}' not in self.filename_tmpl:
            raise InputError(
                f'CheckpointHook(filename_tmpl={self.filename_tmpl!r}) wants {{}} for the number'
            )
        if self.args:
            raise TypeError(f'CheckpointHook got an unexpected keyword argument {next(iter(self.args))!r}')

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict) -> None:
        outdated = None
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated = self.keep_ckpt_ids.popleft()
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = os.path.join(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
        )
        if not is_main_process():
            return
        with atomic_path(Path(runner.work_dir) / 'last_checkpoint') as file:
            file.write_text(self.last_ckpt)
        if outdated is not None:
            Path(self.out_dir, self.filename_tmpl.format(outdated)).unlink(missing_ok=True)
