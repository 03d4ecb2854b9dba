"""The timm model of the trunk, and its weights: read from files, reported, known again by their hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import eva, vision_transformer
from torch import Tensor, nn

from mmslg.errors import InputError

FILTERS = {
    vision_transformer.VisionTransformer: vision_transformer.checkpoint_filter_fn,
    eva.Eva: eva.checkpoint_filter_fn,
}
SHIPPED = {'miniature': Path(__file__).with_name('miniature.safetensors')}
"""Weights that the package holds, by their names; tools/miniature/pretrain.py makes them."""
# In published checkpoints, used in pre-training alone.
_PRETRAINING_ONLY = ('mask_token', 'head.', 'fc_norm.', 'dino_head.', 'ibot_head.')


@dataclass
class LoadReport:
    """What came of loading a checkpoint into the trunk; lists hold parameter names."""

    source: str
    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    resampled: list[str] = field(default_factory=list)
    layer_scale: bool = False

    def __str__(self) -> str:
        def names(keys: list[str]) -> str:
            return f' ({", ".join(keys[:4])}{", ..." if len(keys) > 4 else ""})' if keys else ''

        return (
            f'frozen trunk from {self.source}: {len(self.matched)} matched, '
            f'{len(self.missing)} missing{names(self.missing)}, '
            f'{len(self.unexpected)} unexpected{names(self.unexpected)}, '
            f'{len(self.resampled)} resampled{names(self.resampled)}, '
            f'LayerScale {"present" if self.layer_scale else "absent"}'
        )


def build_vit(name: str, pretrained: bool, patch_size: int, options: dict[str, Any]) -> nn.Module:
    """Build a timm ViT for images of any size, with positions on the grid that they are published on.

    Args:
        name: timm model of the DINOv2 or DINOv3 family.
        pretrained: Whether timm downloads its published weights; else they are random.
        patch_size: Patch side in pixels.
        options: Further options of the timm model.

    Raises:
        InputError: The model is not of these families, or the weights cannot be downloaded.
    """
    if not ('dinov2' in name or 'dinov3' in name):
        raise InputError(f'wanted a DINOv2 or DINOv3 model of timm, got {name!r}')
    kwargs = dict(patch_size=patch_size, dynamic_img_size=True, num_classes=0, **options)
    published = timm.get_pretrained_cfg(name)
    if published is not None:
        grid = published.input_size[-1] // int(re.search(r'patch(\d+)', name)[1])
        kwargs.setdefault('img_size', grid * patch_size)
    try:
        vit = timm.create_model(name, pretrained=pretrained, **kwargs)
    except RuntimeError as error:
        raise InputError(f'timm cannot build the trunk {name!r}: {error}') from error
    except (OSError, ValueError) as error:
        if not pretrained:
            raise
        raise InputError(
            f'the published weights of {name} cannot be downloaded ({type(error).__name__}); put the '
            'file on this machine and set model.backbone.trunk.checkpoint=PATH'
        ) from error
    if type(vit) not in FILTERS or getattr(vit, 'rope_mixed', False):
        raise InputError(f'wanted a DINOv2 or DINOv3 trunk, timm builds {name!r} as {type(vit).__name__}')
    return vit


def describe(vit: nn.Module, source: str) -> LoadReport:
    """Report on a model that timm has loaded itself."""
    names = list(vit.state_dict())
    layer_scale = any('.ls1.gamma' in n or n.endswith('.gamma_1') for n in names)
    return LoadReport(source, matched=names, layer_scale=layer_scale)


def load_weights(vit: nn.Module, checkpoint: str | Path) -> LoadReport:
    """Load a file of the trunk, as its authors or timm publish it, into the timm model.

    Args:
        vit: The timm model.
        checkpoint: The file, or the name of one that the package holds.

    Raises:
        InputError: There is none, it is damaged or holds code, or it is that of another model.
    """
    path = SHIPPED.get(checkpoint) or Path(checkpoint)
    raw = _read_file(path)
    state = FILTERS[type(vit)](raw, vit)
    state = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    own = vit.state_dict()
    report = LoadReport(str(path))
    report.matched = [k for k in own if k in state and state[k].shape == own[k].shape]
    misfits = [k for k in own if k in state and state[k].shape != own[k].shape]
    report.missing = [k for k in own if k not in state]
    report.unexpected = [k for k in state if k not in own]
    report.resampled = [k for k in report.matched if k in raw and raw[k].shape != state[k].shape]
    report.layer_scale = any('ls1.gamma' in k or k.endswith('gamma_1') for k in report.matched)
    if not report.matched and not misfits:
        raise InputError(
            f'{path}: no key of the checkpoint matches the trunk (it holds '
            f'{", ".join(list(raw)[:3])}, ...; wanted {", ".join(list(own)[:3])}, ...); is '
            'it a DINOv2 or DINOv3 backbone of this size?'
        )
    if misfits:
        key = misfits[0]
        raise InputError(
            f'{path}: {len(misfits)} tensors have another shape, such as {key}: checkpoint '
            f'{tuple(state[key].shape)}, trunk {tuple(own[key].shape)}; the model size differs'
        )
    if report.missing:
        raise InputError(
            f'{path}: the checkpoint lacks {len(report.missing)} of {len(own)} tensors of the frozen '
            f'trunk, such as {report.missing[0]}; they would stay random for ever'
        )
    foreign = [k for k in report.unexpected if not k.startswith(_PRETRAINING_ONLY)]
    if foreign:
        raise InputError(
            f'{path}: {len(foreign)} tensors have no place in the trunk, such as {foreign[0]}; '
            'the model differs (registers? depth? LayerScale?)'
        )
    vit.load_state_dict({k: state[k] for k in report.matched})
    return report


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a trunk's weights, those left out that patch size or grid decide.

    Args:
        weights: By their names within the timm model.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        if name == 'pos_embed' or name.startswith('patch_embed.'):
            continue
        value = weights[name].detach().to('cpu', torch.float32).contiguous()
        digest.update(f'{name} {tuple(value.shape)}\n'.encode())
        digest.update(value.numpy().data)
    return digest.hexdigest()


def _read_file(path: Path) -> dict[str, Tensor]:
    """Read a state dict without running code from the file."""
    if not path.is_file():
        raise InputError(f'{path}: no such file, wanted a checkpoint of the frozen trunk')
    try:
        if path.suffix == '.safetensors':
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise InputError(f'{path}: not a checkpoint of tensors ({str(error).splitlines()[0]})') from error
    for wrapper in ('model', 'state_dict', 'teacher'):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict):
        raise InputError(f'{path}: wanted a dictionary of tensors, got {type(state).__name__}')
    # Training code of the authors keeps the network under a prefix.
    for prefix in ('module.', 'backbone.'):
        if any(k.startswith(prefix) for k in state):
            state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return state
