"""Checkpoints while training: an old one is deleted when the new one is there, not before."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine import hooks
from mmengine.dist import is_main_process

from mmslg.engine.identity import run_identity
from mmslg.errors import InputError
from mmslg.registry import HOOKS
from mmslg.utils.io import atomic_path, remove_leftovers


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """MMEngine's hook, which never leaves a work folder without a whole checkpoint.

    MMEngine deletes the oldest checkpoint first and writes the new one over; a full disk or a kill in
    between costs both. Here the new one is written beside and renamed (:class:`mmslg.engine.PairRunner`),
    then ``last_checkpoint`` in the same way, and then the oldest is deleted. What a killed run left half
    written is removed at the start. A checkpoint says of which run it is (``identity``), so that no other
    goes on from it.

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

    def before_train(self, runner) -> None:
        """Make ready, and remove what a killed run left behind."""
        super().before_train(runner)
        if not is_main_process():
            return
        steps = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        if self.interval * (len(runner.train_dataloader) if self.by_epoch else 1) % steps:
            runner.logger.warning(
                f'checkpoints lie between {steps} accumulated gradients, which they do not hold: a run that '
                'goes on there is not exact; let default_hooks.checkpoint.interval be a multiple'
            )
        self.identity = run_identity(runner.cfg)
        for folder in {str(runner.work_dir), str(self.out_dir)}:
            left = remove_leftovers(folder) if os.path.isdir(folder) else []
            if left:
                runner.logger.info(f'removed what was left half written in {folder}: {", ".join(left)}')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Write down of which run the checkpoint is."""
        checkpoint['identity'] = self.identity

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict) -> None:
        outdated = None
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            kept = [*self.keep_ckpt_ids, step]  # with the oldest, which a run killed here has yet to delete
            runner.message_hub.update_info('keep_ckpt_ids', kept)
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated = self.keep_ckpt_ids.popleft()
            self.keep_ckpt_ids.append(step)
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
