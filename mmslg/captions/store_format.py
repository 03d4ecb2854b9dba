"""The bytes of a caption store: lists of strings, the hash of the content, a tensor without a copy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmslg.errors import InputError

TENSORS = ('embeddings', 'index', 'keys', 'texts')
"""What a store holds, in the order in which it is hashed."""


def map_tensor(path: Path, name: str) -> np.ndarray:
    """Map a float32 tensor of a safetensors file: many times faster to look up than a slice of the file.

    Raises:
        InputError: The tensor is of another type.
    """
    with path.open('rb') as file:
        size = int.from_bytes(file.read(8), 'little')
        entry = json.loads(file.read(size))[name]
    if entry['dtype'] != 'F32':
        raise InputError(f'{path}: {name} should be float32, is {entry["dtype"]}; encode the captions again')
    start = 8 + size + entry['data_offsets'][0]
    return np.asarray(np.memmap(path, np.float32, 'r', start, tuple(entry['shape'])))


def pack(strings: list[str]) -> np.ndarray:
    """Return strings without line breaks as bytes."""
    return np.frombuffer('\n'.join(strings).encode('utf-8'), np.uint8)


def unpack(blob: np.ndarray) -> list[str]:
    """Return the strings that :func:`pack` was given."""
    return blob.tobytes().decode('utf-8').split('\n')


def content_hash(tensors: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of names, shapes, types and values."""
    digest = hashlib.sha256()
    for name in TENSORS:
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f'{name}{tensor.shape}{tensor.dtype.str}'.encode())
        digest.update(tensor.data)
    return digest.hexdigest()
