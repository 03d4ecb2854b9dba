"""What one process finds out for all of a run."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from mmengine.dist import broadcast_object_list, get_comm_device, get_world_size, is_main_process
from torch import Tensor
from torch.distributed import broadcast

from mmslg.errors import SaidElsewhereError

T = TypeVar('T')


def from_main_process(find: Callable[[], T]) -> T:
    """Let the main process find something out, and return it in every process.

    A file is so read once a run and not once a process. Tensors travel one at a time, and lie in the memory
    of the CPU in all processes but the main one.

    Args:
        find: Called in the main process alone; returns plain values and tensors in any nesting.

    Raises:
        Exception: What ``find`` raised, in the main process.
        SaidElsewhereError: It raised something, in all other processes, which have nothing to add.
    """
    if get_world_size() == 1:
        return find()
    found: Any = None
    failure: Exception | None = None
    if is_main_process():
        try:
            found = find()
        except Exception as error:  # whatever it is, the others must not wait for ever
            failure = error
    failed = [failure is not None]
    broadcast_object_list(failed)
    if failure is not None:
        raise failure
    if failed[0]:
        raise SaidElsewhereError('the main process has failed, and says why')
    return _send(found) if is_main_process() else _receive()


class _Pickler(pickle.Pickler):
    """Leaves numbers in the place of tensors, and keeps those beside."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.tensors: list[Tensor] = []

    def persistent_id(self, value: object) -> int | None:
        if not isinstance(value, Tensor):
            return None
        self.tensors.append(value)
        return len(self.tensors) - 1


class _Unpickler(pickle.Unpickler):
    """Puts tensors back in the place of their numbers."""

    def __init__(self, data: bytes, tensors: list[Tensor]) -> None:
        super().__init__(io.BytesIO(data))
        self.persistent_load = tensors.__getitem__


def _send(value: T) -> T:
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(value)
    broadcast_object_list([file.getvalue(), [(t.shape, t.dtype) for t in pickler.tensors]])
    for tensor in pickler.tensors:
        _broadcast_bytes(tensor.detach())
    return value


def _receive() -> Any:
    parts: list[Any] = [None, None]
    broadcast_object_list(parts)
    data, kinds = parts
    tensors = [_broadcast_bytes(torch.empty(shape, dtype=dtype)) for shape, dtype in kinds]
    return _Unpickler(data, tensors).load()


def _broadcast_bytes(tensor: Tensor) -> Tensor:
    """Send a tensor, or fill it: as bytes, since not every backend knows every type."""
    if tensor.numel():
        values = tensor.contiguous()
        sent = values.view(-1).view(torch.uint8).to(get_comm_device())
        broadcast(sent, 0)
        if not is_main_process():
            values.view(-1).view(torch.uint8).copy_(sent)
    return tensor
