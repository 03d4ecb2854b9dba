"""What a loaded checkpoint changed in the model."""

from __future__ import annotations

from dataclasses import dataclass

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop
from torch import Tensor, nn

from mmslg.errors import InputError
from mmslg.registry import HOOKS


@dataclass(frozen=True)
class KeyMatch:
    """How the tensors of a checkpoint fit a model, by name.

    Args:
        matched: In both, of one shape.
        missing: In the model alone.
        reshaped: In both, of two shapes.
        unexpected: In the checkpoint alone.
    """

    matched: list[str]
    missing: list[str]
    reshaped: list[str]
    unexpected: list[str]

    def __str__(self) -> str:
        total = len(self.matched) + len(self.missing) + len(self.reshaped)
        return (
            f'{len(self.matched)} of {total} tensors match, {len(self.missing)} missing'
            f'{_named(self.missing)}, {len(self.reshaped)} of another shape{_named(self.reshaped)}, '
            f'{len(self.unexpected)} unexpected{_named(self.unexpected)}'
        )


def match_keys(model: nn.Module, checkpoint: dict) -> tuple[KeyMatch, dict[str, Tensor]]:
    """Compare a checkpoint with a model; return the match and the checkpoint's tensors by name."""
    state = checkpoint.get('state_dict', checkpoint)
    state = {key.removeprefix('module.'): value for key, value in state.items()}
    own = model.state_dict()
    match = KeyMatch(
        matched=[k for k in own if k in state and state[k].shape == own[k].shape],
        missing=[k for k in own if k not in state],
        reshaped=[k for k in own if k in state and state[k].shape != own[k].shape],
        unexpected=[k for k in state if k not in own],
    )
    return match, state


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

    loaded = ''
    """What came of the last checkpoint, for the report of the run; empty where none was loaded."""

    priority = 'LOWEST'  # after the EMA hook has put its weights in place

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare names and shapes; called by the runner before it copies the weights."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        match, _ = match_keys(model, checkpoint)
        source = runner._load_from or 'the checkpoint'
        if not match.matched:
            raise InputError(f'{source}: no key of the checkpoint matches the model: {match}')
        fine_tuning = isinstance(runner._train_loop, BaseLoop) and not runner._resume
        if (match.missing or match.reshaped) and not fine_tuning:
            raise InputError(f'{source}: the checkpoint does not fit the config: {match}')
        self.loaded = f'checkpoint {source}: {match}'
        print_log(self.loaded, 'current')
