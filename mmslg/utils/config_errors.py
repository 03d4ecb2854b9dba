"""What a config says wrong, in one line: the file, the key, and the complaint of whoever read it."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmslg.errors import InputError

if TYPE_CHECKING:
    from mmengine.config import Config

_SIGNATURE = re.compile(
    r'(?:(?P<kind>\w+)\.__init__\(\) )?got (?:an unexpected keyword argument|multiple values for argument) '
    r"'(?P<key>[^']*)'|"
    r'missing \d+ required|type must be a str or valid type'
)
_REGISTRY = re.compile(r'(?P<type>\S+) is not in the (?P<registry>.*?)registry|must contain the key \"type\"')

_READ = r'model\.|custom_hooks\.|\w+_(dataloader|evaluator|cfg|hooks|wrapper)\b'


@contextmanager
def explain_config_errors(cfg: Config) -> Iterator[None]:
    """Turn what a constructor says about the config that it was built from into :class:`InputError`.

    An unknown ``type``, none at all, an argument too many or too few, a value that a library's constructor
    refuses: these are the config's. Everything else passes, since it may be a bug.

    Raises:
        InputError: The line names the config, the key if it is found there, and the complaint.
    """
    try:
        yield
    except InputError:
        raise
    except (ValueError, AssertionError) as error:
        complaint = str(error) or _failed_assertion(error)
        if not complaint or _raised_here(error):
            raise
        raise InputError(f'{cfg.filename}: {" ".join(complaint.split())[:300]}') from error
    except (KeyError, TypeError) as error:
        text = str(error.args[0]) if error.args else ''
        found = (_REGISTRY if isinstance(error, KeyError) else _SIGNATURE).search(text)
        if not found:
            raise
        name = found.groupdict()
        if name.get('type'):
            where = _find(cfg, lambda key, value: value == name['type'])
            registry = name['registry'].replace('::', ' ').strip()
            complaint = f'there is no {name["type"]} among the types of {registry}'
        else:
            where = _find(cfg, lambda key, value: key == name['key'], name['kind']) if name.get('key') else ''
            complaint = ' '.join(re.split(r'\n| in <', text)[0].split())[:300]
        raise InputError(f'{cfg.filename}: {where + ": " if where else ""}{complaint}') from None


def _failed_assertion(error: Exception) -> str:
    """Name an assertion without a message by its place in the code, ``''`` for another error."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    if not isinstance(error, AssertionError) or not place.line:
        return ''
    claim = place.line.removeprefix('assert ')
    return f'{Path(place.filename).name}, line {place.lineno}: {claim} does not hold'


def _raised_here(error: Exception) -> bool:
    """Whether this package raised an error, which says InputError where it means the user."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    return trace.tb_frame.f_globals.get('__name__', '').startswith('mmslg.')


def _find(cfg: Config, wanted: Callable[[str, Any], bool], kind: str | None = None) -> str:
    """Return the dotted name of a setting, ``''`` if none is wanted.

    Args:
        cfg: The config. Its variables are parts of its settings, and looked at last.
        wanted: Tells it by its name and value.
        kind: Class that is built from its neighbours, which are preferred then.
    """

    def walk(node: Any, path: str) -> Iterator[tuple[bool, bool, str]]:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if isinstance(node, dict) and wanted(key, value):
                other = str(node.get('type', '')).rpartition('.')[2] != kind
                yield other, not re.match(_READ, path), f'{path}{key}'
            if isinstance(value, (dict, list, tuple)):
                yield from walk(value, f'{path}{key}.')

    found = list(walk(cfg.to_dict(), ''))
    return min(found, key=lambda place: place[:2])[2] if found else ''
