"""What a loaded checkpoint changed in the model."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop

from mmslg.errors import InputError
from mmslg.registry import HOOKS


def _named(keys: list[str]) -> str:
    return f' ({", ".join(keys[:3])}{", ..." if len(keys) > 3 else ""})' if keys else ''


@HOOKS.register_module()
class CheckpointReportHook(Hook):
    """Say how a checkpoint fits the model, and refuse one that would leave it untrained.

    For testing and for resuming, every tensor of the model must be there. For ``load_from`` in training
    (fine-tuning with other classes) some may differ; they are counted and printed.

    Raises:
        InputError: No key matches, or, in testing and resuming, not all do.
    """

    priority = 'LOWEST'  # after the EMA hook has put its weights in place

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare names and shapes; called by the runner before it copies the weights."""
        state = checkpoint.get('state_dict', checkpoint)
        state = {key.removeprefix('module.'): value for key, value in state.items()}
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        own = model.state_dict()
        matched = [k for k in own if k in state and state[k].shape == own[k].shape]
        reshaped = [k for k in own if k in state and state[k].shape != own[k].shape]
        missing = [k for k in own if k not in state]
        unexpected = [k for k in state if k not in own]
        source = runner._load_from or 'the checkpoint'
        report = (
            f'{len(matched)} of {len(own)} tensors match, {len(missing)} missing{_named(missing)}, '
            f'{len(reshaped)} of another shape{_named(reshaped)}, '
            f'{len(unexpected)} unexpected{_named(unexpected)}'
        )
        if not matched:
            raise InputError(f'{source}: no key of the checkpoint matches the model: {report}')
        fine_tuning = isinstance(runner._train_loop, BaseLoop) and not runner._resume
        if (missing or reshaped) and not fine_tuning:
            raise InputError(f'{source}: the checkpoint does not fit the config: {report}')
        print_log(f'checkpoint {source}: {report}', 'current')
