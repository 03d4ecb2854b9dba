"""Checkpoints as files: read safely, checked before anything is built on them."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mmslg.engine.plain_values import admitted_names, resolve
from mmslg.errors import InputError
from mmslg.utils.io import atomic_path

METADATA = 'mmslg'
"""Where the metadata of a safetensors file say what the weights are, as JSON."""


def read_checkpoint(path: str, map_location: Any = 'cpu', advice: str = '') -> dict:
    """Read a checkpoint of tensors and plain values; nothing in the file is run.

    Args:
        path: File of PyTorch or safetensors, or a URL that is downloaded once.
        map_location: As in ``torch.load``; ``'meta'`` reads no values.
        advice: What to do if there is no such file.

    Returns:
        The checkpoint; weights that were saved alone are found under ``state_dict`` too.

    Raises:
        InputError: There is none, it is damaged or holds code, a weight is NaN or infinite.
    """
    if path.endswith('.py'):
        raise InputError(f'{path}: a config, wanted a checkpoint')
    file = _download(path) if path.startswith(('http://', 'https://')) else Path(path)
    if not file.is_file():
        kind = 'this is a folder, wanted a checkpoint file' if file.is_dir() else 'no such checkpoint'
        raise InputError(f'{path}: {kind}{"; " + advice if advice else ""}')
    try:
        if file.suffix == '.safetensors':
            checkpoint = _read_safetensors(file, map_location)
        else:
            if map_location != 'meta':
                _check_sums(file)
            with torch.serialization.safe_globals(admitted_names()):
                checkpoint = resolve(torch.load(file, map_location=map_location, weights_only=True))
    except Exception as error:  # a damaged pickle raises whatever its bytes spell
        raise InputError(f'{path}: not a checkpoint that can be loaded safely ({_reason(error)})') from None
    if not isinstance(checkpoint, dict):
        raise InputError(f'{path}: wanted a checkpoint with weights by name, got {_kind(checkpoint)}')
    if 'state_dict' not in checkpoint:
        checkpoint = {'state_dict': checkpoint}
    for part in ('state_dict', 'ema_state_dict'):
        _check_weights(path, part, checkpoint.get(part, {}), with_values=map_location != 'meta')
    if not checkpoint['state_dict']:
        raise InputError(f'{path}: the checkpoint holds no weights')
    return checkpoint


def checkpoint_classes(checkpoint: dict) -> list[str] | None:
    """Return the names of the classes a checkpoint was trained on, or None if it does not tell."""
    meta = checkpoint.get('meta')
    data = meta.get('dataset_meta') if isinstance(meta, dict) else None
    classes = data.get('classes') if isinstance(data, dict) else None
    classes = [classes] if isinstance(classes, str) else classes
    return [str(name) for name in classes] if isinstance(classes, (list, tuple)) else None


def compare_classes(path: str, checkpoint: dict, classes: Sequence[str] | None) -> str:
    """Return how the classes of a checkpoint differ from those of a dataset, ``''`` if they do not."""
    known = checkpoint_classes(checkpoint)
    if known is None or classes is None or known == list(classes):
        return ''
    order = ' in another order' if sorted(known) == sorted(classes) else ''
    return (
        f'{path}: the checkpoint was trained on the classes {", ".join(known)}; the config has '
        f'{", ".join(classes)}{order}'
    )


def _read_safetensors(file: Path, map_location: Any) -> dict:
    """Read weights, with what an export says of them."""
    with safe_open(file, 'pt') as opened:
        meta = json.loads((opened.metadata() or {}).get(METADATA, '{}'))
        names = opened.keys()
        if map_location == 'meta':
            shapes = {name: opened.get_slice(name).get_shape() for name in names}
            state = {name: torch.empty(shape, device='meta') for name, shape in shapes.items()}
        else:
            state = {name: opened.get_tensor(name).to(map_location) for name in names}
    return {'meta': meta, 'state_dict': state}


def _check_sums(file: Path) -> None:
    """Compare every part of a zip with its checksum, which torch writes and does not read.

    Raises:
        BadZipFile: They differ.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as parts:
            part = parts.testzip()
        if part:
            raise zipfile.BadZipFile(part)


def _reason(error: Exception) -> str:
    """Say what is wrong with a file. Torch's own text advises to switch the protection off."""
    found = re.search(r'GLOBAL (\S+)', str(error))
    if found:
        return f'it holds {found[1]}, which is neither a tensor nor a plain value'
    cut = getattr(error, 'errno', None) == errno.EINVAL  # a zip
    broken = (EOFError, SafetensorError, zipfile.BadZipFile)
    if 'PytorchStreamReader' in str(error) or cut or isinstance(error, broken):
        return 'the file is truncated or damaged'
    return 'it is no file of PyTorch, or a damaged one'


def _kind(value: object) -> str:
    return f'a {"tensor" if isinstance(value, Tensor) else type(value).__name__}'


def _check_weights(path: str, part: str, weights: object, with_values: bool) -> None:
    if not isinstance(weights, dict):
        raise InputError(f'{path}: {part} should hold weights by name, got {_kind(weights)}')
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise InputError(
                f'{path}: {part} should hold tensors by name, got {_kind(value)} as {name!r:.60}'
            )
        if not with_values:
            continue
        if not _is_plain(value):
            raise InputError(
                f'{path}: {name} of {part} is no plain tensor ({value.layout}, {value.dtype}, on '
                f'{value.device}), wanted a dense one of a usual type'
            )
        if not torch.isfinite(value).all():
            raise InputError(
                f'{path}: {name} of {part} holds NaN or infinite values; take an earlier checkpoint'
            )


def _is_plain(value: Tensor) -> bool:
    """Whether a tensor holds all its values, in a type that PyTorch computes in."""
    if value.layout != torch.strided or value.is_meta or value.is_quantized:
        return False
    floats = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    stored = value.untyped_storage().nbytes() // value.element_size()
    return value.numel() <= stored and (not value.is_floating_point() or value.dtype in floats)


def _download(url: str) -> Path:
    """Return the file of a URL, downloading it into torch's folder of checkpoints the first time."""
    try:
        last = urlsplit(url).path.rstrip('/').rsplit('/', 1)[-1][-80:]
    except ValueError as error:
        raise InputError(f'{url}: the checkpoint cannot be downloaded ({error})') from None
    name = f'{hashlib.sha256(url.encode()).hexdigest()[:8]}_{last}'
    file = Path(torch.hub.get_dir()) / 'checkpoints' / name
    if not file.is_file():
        print(f'downloading {url} to {file}', flush=True)
        try:
            with urlopen(url, timeout=30) as source, atomic_path(file) as part, part.open('wb') as target:
                shutil.copyfileobj(source, target)
                length = source.headers.get('Content-Length')
                if length is not None and target.tell() != int(length):
                    raise OSError(f'{target.tell()} of {length} bytes came')
        except (OSError, ValueError, HTTPException) as error:
            raise InputError(f'{url}: the checkpoint cannot be downloaded ({error})') from None
    return file
