"""What a loaded checkpoint changed in the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop
from torch import Tensor, nn

from mmslg.engine.trunk_state import fill_in
from mmslg.errors import InputError
from mmslg.models.backbones import SLGViT
from mmslg.models.modules import bare_model
from mmslg.models.necks import LanguageGuidedModulation, SimpleFeaturePyramid
from mmslg.registry import HOOKS


@dataclass(frozen=True)
class KeyMatch:
    """How the tensors of a checkpoint fit a model, by name.

    Args:
        matched: In both, of one shape.
        missing: In the model alone.
        reshaped: In both, of two shapes.
        unexpected: In the checkpoint alone.
        parts: How the names of each part of the model start, by what the part is called.
    """

    matched: list[str]
    missing: list[str]
    reshaped: list[str]
    unexpected: list[str]
    parts: dict[str, str]

    @property
    def complete(self) -> bool:
        """Whether every tensor of the model is there, and none of a trunk that the model does not have."""
        trunk = self.parts.get('trunk')
        foreign = trunk is not None and any(name.startswith(trunk) for name in self.unexpected)
        return not (self.missing or self.reshaped or foreign)

    def by_part(self) -> dict[str, tuple[int, int]]:
        """Return how many tensors of each part came over, and how many it has; ``head`` is all the rest."""
        counts = {part: [0, 0] for part in (*self.parts, 'head')}
        for came, names in ((1, self.matched), (0, self.missing), (0, self.reshaped)):
            for name in names:
                starts = (part for part, start in self.parts.items() if name.startswith(start))
                count = counts[next(starts, 'head')]
                count[0] += came
                count[1] += 1
        return {part: (came, number) for part, (came, number) in counts.items() if number}

    def __str__(self) -> str:
        parts = self.by_part()
        total = len(self.matched) + len(self.missing) + len(self.reshaped)
        return (
            f'{len(self.matched)} of {total} tensors match, {len(self.missing)} missing'
            f'{_named(self.missing)}, {len(self.reshaped)} of another shape{_named(self.reshaped)}, '
            f'{len(self.unexpected)} unexpected{_named(self.unexpected)}'
            + (f'; {", ".join(f"{part} {a} of {b}" for part, (a, b) in parts.items())}' if self.parts else '')
        )


def match_keys(model: nn.Module, state: Mapping[str, Tensor]) -> KeyMatch:
    """Compare the tensors of a checkpoint with a model's, by names that :func:`fit_to_model` has seen to."""
    own = model.state_dict()
    return KeyMatch(
        matched=[k for k in own if k in state and state[k].shape == own[k].shape],
        missing=[k for k in own if k not in state],
        reshaped=[k for k in own if k in state and state[k].shape != own[k].shape],
        unexpected=[k for k in state if k not in own],
        parts=_parts(model),
    )


def fit_to_model(path: str, model: nn.Module, checkpoint: dict) -> None:
    """Bring the weights of a checkpoint, older ones too, to the names and the completeness of a model's.

    Args:
        path: What the checkpoint is called in messages.
        model: Newly built, with the trunk of its config.
        checkpoint: As :func:`mmslg.engine.checkpoints.read_checkpoint` returned it; changed in place.

    Raises:
        InputError: It was trained on another frozen trunk, and does not hold it.
    """
    state = checkpoint['state_dict']
    for name in [name for name in state if name.startswith('module.')]:
        state[name.removeprefix('module.')] = state.pop(name)
    for name, module in model.named_modules():
        if isinstance(module, SimpleFeaturePyramid):
            module.key_by_stride(state, f'{name}.')
            module.key_by_stride(checkpoint.get('ema_state_dict', {}), f'module.{name}.')
    fill_in(path, model, checkpoint)


def _parts(model: nn.Module) -> dict[str, str]:
    """Return how the names of each part of a detector start."""
    parts = {}
    for name, module in model.named_modules():
        if isinstance(module, SLGViT):
            parts['trunk'] = f'{name}.trunk.'
            parts['structure encoder'] = f'{name}.structure_encoder.'
            parts['adapters'] = f'{name}.adapters.'
        elif isinstance(module, LanguageGuidedModulation):
            parts['LGM'] = f'{name}.'
        elif isinstance(module, SimpleFeaturePyramid):
            parts |= {f'pyramid stride {key[1:]}': f'{name}.levels.{key}.' for key in module.levels}
    return parts


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
        match = match_keys(bare_model(runner.model), checkpoint['state_dict'])
        source = runner._load_from or 'the checkpoint'
        if not match.matched:
            raise InputError(f'{source}: no key of the checkpoint matches the model: {match}')
        fine_tuning = isinstance(runner._train_loop, BaseLoop) and not runner._resume
        if not match.complete and not fine_tuning:
            raise InputError(f'{source}: the checkpoint does not fit the config: {match}')
        self.loaded = f'checkpoint {source}: {match}'
        print_log(self.loaded, 'current')
