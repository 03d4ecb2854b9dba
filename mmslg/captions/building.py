"""Captioners and text encoders by name."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from mmengine.registry import Registry

from mmslg.captions.captioners.base import Captioner
from mmslg.captions.encoders.base import TextEncoder
from mmslg.errors import InputError
from mmslg.registry import CAPTIONERS, TEXT_ENCODERS


def import_modules(modules: Iterable[str]) -> None:
    """Import modules of a user, which may register captioners or text encoders, as seen from this folder.

    Raises:
        InputError: There is no such module.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise InputError(
                f'--import {module}: {error}; name a module as Python imports it from here'
            ) from None


def build_captioner(name: str, **options: Any) -> Captioner:
    """Build a registered captioner.

    Raises:
        InputError: No captioner has this name, or it does not take these options.
    """
    return _build(CAPTIONERS, 'captioner', name, options)


def build_text_encoder(name: str, **options: Any) -> TextEncoder:
    """Build a registered text encoder.

    Raises:
        InputError: No text encoder has this name, or it does not take these options.
    """
    return _build(TEXT_ENCODERS, 'text encoder', name, options)


def check_names(captioner: str, captioner_options: dict, encoder: str, encoder_options: dict) -> None:
    """See that there are such a captioner and text encoder that take such options; none is built.

    Raises:
        InputError: There are not.
    """
    _factory(CAPTIONERS, 'captioner', captioner, captioner_options)
    _factory(TEXT_ENCODERS, 'text encoder', encoder, encoder_options)


def _build(registry: Registry, what: str, name: str, options: dict[str, Any]) -> Any:
    return _factory(registry, what, name, options)(**options)


def _factory(registry: Registry, what: str, name: str, options: dict[str, Any]) -> Callable[..., Any]:
    registry.import_from_location()
    if name not in registry.module_dict:
        known = ', '.join(sorted(registry.module_dict))
        raise InputError(f'no {what} is called {name!r}; there are: {known}')
    factory = registry.module_dict[name]
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        raise InputError(f'{what} {name!r}: {error}') from None
    return factory
