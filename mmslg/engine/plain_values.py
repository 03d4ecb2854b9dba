"""What MMEngine's checkpoints hold beside tensors, as data: no code of NumPy or MMEngine builds it.

Torch's safe unpickler calls whatever is admitted, with arguments out of the file, and lets a file set
attributes and items of what comes back. So nothing real is admitted: each name that MMEngine's pickles spell
is answered by a stand-in that takes plain values only, and :func:`resolve` makes real objects of them when
the file is read.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer

_KINDS = re.compile(r'[<>|=]?([biufc][0-9]{1,2}|[SU][0-9]{1,6})')
_STATISTICS = ('min', 'max', 'mean', 'current')


def admitted_names() -> list[tuple[Any, str]]:
    """Return the stand-ins, each with the name that a pickle spells, as ``safe_globals`` takes them."""
    names = [
        (_History, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (_history_method, 'builtins.getattr'),
        (_Settings, 'mmengine.config.config.ConfigDict'),
        (_Array, 'numpy.ndarray'),
        (_Dtype, 'numpy.dtype'),
        (_Moment, 'datetime.datetime'),
        (_no_bytes, 'builtins.bytes'),
    ]
    for core in ('numpy.core', 'numpy._core'):  # NumPy 1 and 2
        names += [(_empty_array, f'{core}.multiarray._reconstruct'), (_scalar, f'{core}.multiarray.scalar')]
    return names


def resolve(value: Any) -> Any:
    """Put real objects in the place of stand-ins, in place where a container allows it.

    Raises:
        ValueError: A stand-in holds what the real object never does.
    """
    return _resolve(value, {})


def _resolve(value: Any, known: dict[int, Any]) -> Any:
    """Resolve what the file held; ``known`` has what became of it, by its id."""
    key = id(value)
    if key in known:  # shared, or within itself
        return known[key]
    known[key] = value = dict(value) if type(value) is _Settings else value
    if isinstance(value, _StandIn):
        known[key] = value.real(known)
    elif isinstance(value, dict):
        for name in list(value):
            value[name] = _resolve(value[name], known)
    elif isinstance(value, list):
        value[:] = [_resolve(item, known) for item in value]
    elif type(value) is tuple:
        known[key] = tuple(_resolve(item, known) for item in value)
    return known[key]


class _StandIn:
    """Keeps what a pickle says of an object; slots, so that a file cannot add to it."""

    __slots__ = ('args', 'state')

    def __init__(self, *args: Any) -> None:
        self.args, self.state = args, None

    def __new__(cls, *args: Any) -> _StandIn:
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Dtype(_StandIn):
    """``dtype('f8', False, True)``, then its byte order; only numbers, truth values and texts."""

    __slots__ = ()

    def real(self, known: dict | None = None) -> np.dtype:
        kind = self.args[0] if self.args else None
        if not isinstance(kind, str) or not _KINDS.fullmatch(kind):
            raise ValueError(f'a type of arrays that is no plain one: {kind!r:.40}')
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else '='
        if order not in ('<', '>', '|', '='):
            raise ValueError(f'no byte order: {order!r:.40}')
        return np.dtype(kind).newbyteorder(order)


class _Array(_StandIn):
    """An array: version, shape, type, whether columns come first, and the bytes."""

    __slots__ = ()

    def real(self, known: dict) -> np.ndarray:
        _, shape, dtype, columns_first, data = self.state
        if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
            raise ValueError('an array of something else than numbers, truth values or texts')
        values = np.frombuffer(data, dtype.real()) if data else np.empty(0, dtype.real())
        return values.reshape(shape, order='F' if columns_first else 'C').copy()


class _History(_StandIn):
    """A history of the log. The functions that a file names for it are MMEngine's own, taken anew."""

    __slots__ = ()

    def real(self, known: dict) -> HistoryBuffer:
        values, counts = (_resolve(self.state[key], known) for key in ('_log_history', '_count_history'))
        if not all(isinstance(part, np.ndarray) for part in (values, counts)):
            raise ValueError('a history of the log without its arrays')
        return HistoryBuffer(values, counts, int(self.state['max_length']))


class _Settings(dict):
    """MMEngine's ConfigDict, which becomes a plain dict."""

    __slots__ = ()


class _Moment(_StandIn):
    """A date and time."""

    __slots__ = ()

    def real(self, known: dict) -> datetime.datetime:
        (data,) = self.args
        if not isinstance(data, bytes):
            raise ValueError('no date')
        return datetime.datetime(data)


def _history_method(owner: Any, name: Any) -> None:
    """``getattr(HistoryBuffer, 'mean')``, the one use of getattr in MMEngine's checkpoints: nothing."""
    if owner is not _History or name not in _STATISTICS:
        raise ValueError(f'getattr of {name!r:.40}')


def _no_bytes() -> bytes:
    """``bytes()``, the data of an empty array."""
    return b''


def _empty_array(kind: Any, shape: Any, code: Any) -> _Array:
    if kind is not _Array:
        raise ValueError('an array of another class')
    return _Array()


def _scalar(dtype: Any, data: Any) -> np.generic:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
        raise ValueError('a scalar that is no number, truth value or text')
    return np.frombuffer(data, dtype.real())[0]
