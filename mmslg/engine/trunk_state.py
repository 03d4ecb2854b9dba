"""The frozen trunk in checkpoints: named by its hash instead of held, and put back when one is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmslg.errors import InputError
from mmslg.models.backbones import FrozenTrunk
from mmslg.models.backbones.trunk_weights import fingerprint


def find_trunk(model: nn.Module) -> tuple[str, FrozenTrunk] | None:
    """Return a model's frozen trunk and what the names of its tensors begin with, None if it has none."""
    for name, module in model.named_modules():
        if isinstance(module, FrozenTrunk):
            return f'{name}.' if name else '', module
    return None


def leave_out(model: nn.Module, checkpoint: dict) -> None:
    """Drop from a checkpoint what the trunk's own file can bring again, and name that file's weights."""
    found = find_trunk(model)
    names = found[1].fetchable() if found else set()
    if not names:
        return
    prefix, trunk = found
    for name in names:
        checkpoint['state_dict'].pop(prefix + name, None)
        checkpoint.get('ema_state_dict', {}).pop(f'module.{prefix}{name}', None)
    checkpoint['meta']['trunk'] = trunk.source


def fill_in(path: str, model: nn.Module, checkpoint: dict) -> None:
    """Put the model's own trunk into a checkpoint that names it, and note what others bring of their own.

    Raises:
        InputError: The model's trunk is not the one that the checkpoint was trained on.
    """
    found = find_trunk(model)
    if found is None:
        return
    prefix, trunk = found
    state, named = checkpoint['state_dict'], _named(checkpoint)
    if f'{prefix}vit.pos_embed' in state:
        trunk.fit_positions(state[f'{prefix}vit.pos_embed'].shape[1])
    own = {prefix + name: value for name, value in trunk.state_dict().items()}
    absent = [name for name in own if name not in state]
    _note_replaced(prefix, trunk, state)
    if not named:
        return
    if absent:
        check_source(path, named, trunk.source)
        for name in absent:
            if 'lora_' not in name:  # what was learnt beside the trunk is not in its file
                _fill(checkpoint, name, own[name])
        print_log(f'{path}: the frozen trunk is that of the config, {_known_as(named)}', 'current')
    elif trunk.origin is not None and trunk.fingerprint is None:
        values = {name.removeprefix(f'{prefix}vit.'): state[name] for name in own}
        if fingerprint(values) == named.get('fingerprint'):  # else a checkpoint has to hold it further on
            trunk.fingerprint = named['fingerprint']


def check_source(path: str, named: Mapping[str, Any], own: Mapping[str, Any] | None) -> None:
    """Compare the trunk that a checkpoint names with a model's.

    Raises:
        InputError: They differ; the line names both.
    """
    if own is None:
        raise InputError(
            f'{path}: it was trained on the frozen trunk {_known_as(named)}, which it does not hold, and the '
            "config's trunk has random weights; set trunk.checkpoint='pretrained', 'miniature' or the path "
            'of that file'
        )
    for key, what in (('fingerprint', 'weights'), ('patch_size', 'patch size'), ('positions', 'positions')):
        if named.get(key) != own[key]:
            raise InputError(
                f'{path}: it was trained on the frozen trunk {_known_as(named)} and does not hold it; the '
                f"config's has other {what}: {_known_as(own)}"
            )


def build_for(shapes: Mapping[str, tuple], config: dict, build: Callable[[dict], nn.Module]) -> nn.Module:
    """Build a model for a checkpoint; the trunk's own file is not read if the checkpoint holds the trunk.

    Args:
        shapes: Shapes of the checkpoint's tensors, by name.
        config: The model's.
        build: Builds it.
    """
    shapes = {name.removeprefix('module.'): tuple(shape) for name, shape in shapes.items()}
    if any(name.endswith('vit.patch_embed.proj.weight') for name in shapes):
        bare = deepcopy(config)
        origins = [settings.get('checkpoint') for settings in trunk_settings(bare)]
        for settings in trunk_settings(bare):
            settings['checkpoint'] = None
        model = build(bare)
        prefix, trunk = find_trunk(model) or ('', None)
        if trunk and len(shapes.get(f'{prefix}vit.pos_embed', ())) == 3:
            trunk.fit_positions(shapes[f'{prefix}vit.pos_embed'][1])
        own = trunk.state_dict() if trunk else {}
        if all(shapes.get(prefix + name) == tuple(value.shape) for name, value in own.items()):
            if trunk:
                trunk.origin = origins[0]
            return model
    return build(config)


def trunk_settings(node: Any) -> Iterator[dict]:
    """Yield the settings of every trunk within a model's config."""
    if isinstance(node, dict):
        if isinstance(node.get('trunk'), dict):
            yield node['trunk']
        for child in node.values():
            yield from trunk_settings(child)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from trunk_settings(child)


def _note_replaced(prefix: str, trunk: FrozenTrunk, state: Mapping[str, Tensor]) -> None:
    """Note the frozen tensors of which a checkpoint brings other values than the trunk's file."""
    own = trunk.state_dict()
    for name in trunk.fetchable():
        other = state.get(prefix + name)
        if (
            other is not None
            and other.shape == own[name].shape
            and not torch.equal(other.to(own[name]), own[name])
        ):
            trunk.replaced.add(name)


def _fill(checkpoint: dict, name: str, value: Tensor) -> None:
    checkpoint['state_dict'][name] = value
    if 'ema_state_dict' in checkpoint:
        checkpoint['ema_state_dict'][f'module.{name}'] = value


def _named(checkpoint: dict) -> dict:
    meta = checkpoint.get('meta')
    named = meta.get('trunk') if isinstance(meta, dict) else None
    return named if isinstance(named, dict) else {}


def _known_as(source: Mapping[str, Any]) -> str:
    """Name a trunk in one line."""
    return (
        f'{source.get("name")!s:.80} (SHA-256 {source.get("fingerprint")!s:.12}, patch '
        f'{source.get("patch_size")!s:.10}, {source.get("positions")!s:.10} positions)'
    )
