"""A checkpoint for others: weights alone, whole or the adapters, with a card that says what they are."""

from __future__ import annotations

import ast
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from safetensors.torch import save_file
from torch import Tensor, nn

from mmslg.apis.configs import read_config, require
from mmslg.apis.inference import load_detector
from mmslg.engine.checkpoints import METADATA, checkpoint_classes, read_checkpoint
from mmslg.engine.data_files import file_hash
from mmslg.engine.run_report import read_starts
from mmslg.engine.trunk_state import find_trunk, trunk_settings
from mmslg.errors import InputError
from mmslg.models.backbones import SLGViT
from mmslg.models.necks import LanguageGuidedModulation
from mmslg.utils.io import atomic_path, read_text, refuse_overwriting
from mmslg.version import __version__

_OF_VALUES = (
    *(ast.Module, ast.Assign, ast.Constant, ast.Dict, ast.List, ast.Tuple, ast.Call, ast.keyword),
    *(ast.UnaryOp, ast.unaryop, ast.expr_context),
)
"""What values consist of that are written out; the only name among them is ``dict``."""


def find_config(checkpoint: str) -> str:
    """Return the config that a training left beside its checkpoint; nothing that lies there is run.

    Raises:
        InputError: There is none, or there are several.
    """
    configs = sorted(str(path) for path in Path(checkpoint).parent.glob('*.py') if _is_dumped(path))
    if len(configs) != 1:
        found = f'several configs ({", ".join(configs[:3])})' if configs else 'no config of plain values'
        raise InputError(f'{checkpoint}: {found} beside it; say which with --config')
    return configs[0]


def _is_dumped(path: Path) -> bool:
    """Whether a file is as a training writes its config: plain values, a model among them, and no imports."""
    try:
        text = read_text(path)
        nodes = list(ast.walk(ast.parse(text)))
    except (InputError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    names = [node for node in nodes if isinstance(node, ast.Name)]
    given = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    return (
        'model' in given
        and not given & {'_base_', 'custom_imports'}
        and '{{' not in text  # MMEngine replaces what stands there before it reads the file
        and all(isinstance(name.ctx, ast.Store) or name.id == 'dict' for name in names)
        and all(isinstance(node, (ast.Name, *_OF_VALUES)) for node in nodes)
    )


def export_checkpoint(
    checkpoint: str,
    out: str,
    config: str | None = None,
    options: dict | None = None,
    adapters: bool = False,
) -> str:
    """Write the weights of a checkpoint, those of the average if there is one, and a card beside.

    Args:
        checkpoint: File or URL.
        out: ``.safetensors``, or for the whole also ``.pth``; the card is ``OUT.md``.
        config: The config that the checkpoint was trained with; None takes the one that :func:`find_config`
            finds.
        options: Settings that override it.
        adapters: Only what was learnt within and behind the trunk: structure encoder, adapters, language
            guidance, and blocks of the trunk that learnt. Else everything, trunk and head included.

    Returns:
        What was written, in one line.

    Raises:
        InputError: The checkpoint cannot be read or does not fit the config, or an output is an input.
    """
    suffixes = ('.safetensors',) if adapters else ('.safetensors', '.pth')
    if not out.endswith(suffixes):
        raise InputError(f'--out {out}: wanted a name that ends in {" or ".join(suffixes)}')
    saved = read_checkpoint(checkpoint, 'meta')
    config = config or find_config(checkpoint)
    cfg = read_config(config, options)
    require(cfg, 'model')
    files = [settings.get('checkpoint') for settings in trunk_settings(cfg.model)]
    inputs = [checkpoint, config, str(Path(checkpoint).parent / 'run.json'), *filter(None, files)]
    card = f'{out}.md'
    for target in (out, card):
        refuse_overwriting(target, *inputs)
    model = _load(cfg, checkpoint)
    state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    if adapters:
        state = {name: state[name] for name in adapter_names(model)}
    facts = _facts(checkpoint, saved, model, adapters)
    with atomic_path(card) as text, atomic_path(out) as file:
        if out.endswith('.pth'):
            torch.save({'meta': facts, 'state_dict': state}, file)
        else:
            rows = {name: value.contiguous() for name, value in state.items()}  # channels last is not known
            save_file(rows, file, {METADATA: json.dumps(facts)})
        text.write_text(_card(Path(out).name, file, state, facts, _run(checkpoint, facts)), encoding='utf-8')
    size = Path(out).stat().st_size
    return f'{out}: {len(state)} tensors, {_millions(state)} M values, {size / 1e6:.1f} MB; {card}'


def adapter_names(model: nn.Module) -> list[str]:
    """Return the names of what was learnt in and behind the trunk, up to the pyramid.

    A trunk of random weights belongs to it, since no file could bring it again.
    """
    kinds = (SLGViT, LanguageGuidedModulation)
    starts = tuple(f'{name}.' for name, module in model.named_modules() if isinstance(module, kinds))
    prefix, trunk = find_trunk(model) or ('', None)
    left_out = {prefix + name for name in trunk.fetchable()} if trunk else set()
    names = [name for name in model.state_dict() if name.startswith(starts) and name not in left_out]
    if not starts or not names:
        raise InputError('the model has no backbone mmslg.SLGViT, so there are no adapters to export')
    return names


def _load(cfg: Config, checkpoint: str) -> nn.Module:
    """Load the detector with its trunk in full precision, since that is what a file should hold."""
    cfg = deepcopy(cfg)
    for settings in trunk_settings(cfg.model):
        settings['dtype'] = 'float32'
    return load_detector(cfg, checkpoint)


def _facts(checkpoint: str, saved: dict, model: nn.Module, adapters: bool) -> dict[str, Any]:
    """Return what the file itself says of its weights, in plain values."""
    meta = saved['meta'] if isinstance(saved.get('meta'), dict) else {}
    found = find_trunk(model)
    trunk = found[1].source if found else None
    return dict(
        content='adapters' if adapters else 'everything',
        trunk=trunk or meta.get('trunk'),
        dataset_meta=dict(classes=checkpoint_classes({'meta': meta})),
        epoch=meta.get('epoch'),
        iter=meta.get('iter'),
        identity=saved.get('identity') or meta.get('identity'),
        source=dict(name=Path(checkpoint).name, sha256=file_hash(checkpoint)),
        mmslg_version=__version__,
        cfg=str(meta.get('cfg', '')),
    )


def _run(checkpoint: str, facts: dict) -> dict[str, Any]:
    """Return what the work folder of a training says of a checkpoint in it."""
    folder = Path(checkpoint).parent
    starts = read_starts(folder / 'run.json')
    last = starts[-1] if starts else {}
    data = last.get('data') or {}
    return dict(
        hashes={**data.get('files', {}), **data.get('manifests', {})},
        protocols=last.get('protocols') or [],
        versions=last.get('versions') or {},
        figures=_figures(folder, {facts['epoch'], facts['iter']} - {None}),
    )


def _figures(folder: Path, steps: set[int]) -> dict[str, float]:
    """Return the figures that validation logged at the step of a checkpoint, ``{}`` if it logged none."""
    for log in sorted(folder.glob('*/vis_data/scalars.json'), reverse=True):
        for line in reversed(log.read_text(encoding='utf-8', errors='replace').splitlines()):
            try:
                row = json.loads(line)
            except ValueError:  # a run that was killed leaves half a line
                continue
            if isinstance(row, dict) and 'lr' not in row and row.get('step') in steps:
                return {
                    name: value
                    for name, value in row.items()
                    if '/' in name and isinstance(value, (int, float))
                }
    return {}


def _card(name: str, file: Path, state: dict[str, Tensor], facts: dict, run: dict) -> str:
    """Write the card in Markdown."""
    trunk = facts['trunk'] or {}
    trained = ', '.join(f'{key} {facts[key]}' for key in ('epoch', 'iter') if facts[key] is not None)
    rows = [
        ('content', f'{facts["content"]}: {len(state)} tensors, {_millions(state)} M values'),
        ('SHA-256', file_hash(file)),
        ('trained', trained or 'not said'),
        ('from', f'{facts["source"]["name"]}, SHA-256 {facts["source"]["sha256"]}'),
        (
            'frozen trunk',
            f'{trunk.get("name")}, SHA-256 {trunk.get("fingerprint")}' if trunk else 'not named',
        ),
        ('classes', ', '.join(facts['dataset_meta']['classes'] or ['not said'])),
        ('written by', f'mmslg {facts["mmslg_version"]}'),
        *(('protocol', protocol) for protocol in run['protocols']),
        *((figure, f'{value:.4f}') for figure, value in run['figures'].items()),
        *((f'data: {path}', f'SHA-256 {digest}') for path, digest in run['hashes'].items()),
        *((f'version of {package}', version) for package, version in run['versions'].items()),
    ]
    if not run['figures']:
        rows.append(('figures', 'none: no validation at this step was found beside the checkpoint'))
    if facts['content'] == 'adapters':
        use = f'--cfg-options load_from={name}\n\nHead and pyramid are not in it: train them.'
    else:
        use = f'python tools/test.py CONFIG {name}'
    table = '\n'.join(f'| {key} | {str(value).replace("|", "/")} |' for key, value in rows)
    config = f'\n## Config\n\n```python\n{facts["cfg"].strip()}\n```\n' if facts['cfg'] else ''
    return f'# {name}\n\n| | |\n|---|---|\n{table}\n\n## Use\n\n    {use}\n{config}'


def _millions(state: dict[str, Tensor]) -> str:
    return f'{sum(value.numel() for value in state.values()) / 1e6:.2f}'
