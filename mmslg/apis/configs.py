"""Configs as they are read: whole, spelled right, and fitting together."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmslg.apis.image_sizes import resize_fault
from mmslg.errors import InputError

_LOADERS = tuple(f'{split}_dataloader' for split in ('train', 'val', 'test'))
SETTINGS = {
    *_LOADERS,
    *(f'{split}_{part}' for split in ('val', 'test') for part in ('cfg', 'evaluator')),
    *('model', 'work_dir', 'train_cfg', 'auto_scale_lr', 'optim_wrapper', 'param_scheduler', 'default_hooks'),
    *('custom_hooks', 'load_from', 'resume', 'launcher', 'env_cfg', 'log_processor'),
    *('log_level', 'visualizer', 'default_scope', 'randomness', 'experiment_name', 'compile'),
    *('find_unused_parameters', 'model_wrapper_cfg', 'sync_bn', 'runner_type'),
    *('activation_checkpointing', 'efficient_conv_bn_eval'),
}
"""The top-level settings that MMEngine's runner and MMDetection's tools read."""

_JUDGED = {*_LOADERS, 'trunk', 'structure', 'paramwise_cfg', 'randomness', 'mp_cfg', 'dist_cfg'}
"""Settings without a ``type`` that go whole to a function, which refuses a name it does not know."""

_KINDS = {
    **dict.fromkeys((*_LOADERS, 'model', 'train_cfg', 'val_cfg', 'test_cfg', 'optim_wrapper'), dict),
    **dict.fromkeys(('default_hooks', 'env_cfg', 'randomness', 'log_processor', 'auto_scale_lr'), dict),
    **dict.fromkeys(('val_evaluator', 'test_evaluator', 'param_scheduler'), (dict, list)),
    **{'visualizer': dict, 'custom_hooks': list, 'load_from': str, 'work_dir': str, 'compile': (bool, dict)},
}
"""What a setting has to be if it is there at all."""

_LEAST = {
    **{f'{loader}.batch_size': 1 for loader in _LOADERS},
    **{f'{loader}.num_workers': 0 for loader in _LOADERS},
    **dict.fromkeys(('train_cfg.max_iters', 'train_cfg.max_epochs', 'train_cfg.val_interval'), 1),
    **{'default_hooks.checkpoint.interval': -1, 'default_hooks.checkpoint.max_keep_ckpts': -1},
    **{'default_hooks.logger.interval': 1, 'auto_scale_lr.base_batch_size': 1, 'randomness.seed': 0},
}
"""Whole numbers, and the least that each may be."""

_HEADS = ('bbox_head', 'bbox_head_init', 'bbox_head_refine', 'roi_head', 'query_head', 'mask_head')


def read_config(path: str, options: dict | None = None) -> Config:
    """Read a config and override settings; nothing else is touched.

    Raises:
        InputError: There is no such config, it cannot be read, or a setting of it or an override is
            misspelt.
    """
    if path.endswith(('.pth', '.pt', '.safetensors')):
        raise InputError(f'{path}: a checkpoint, wanted a config')
    if not Path(path).is_file():
        raise InputError(f'{path}: no such config')
    try:
        cfg = Config.fromfile(path)
        known = set(cfg)
    except Exception as error:  # a config is a program
        raise InputError(f'{path}: the config cannot be read: {_reading_error(error)}') from None
    for key in known - SETTINGS:
        similar = difflib.get_close_matches(key, SETTINGS, 1, 0.8)
        if similar and not key.startswith('_'):
            raise InputError(
                f'{path}: there is no setting {key}; did you mean {similar[0]}? A variable of your own '
                'begins with _'
            )
    for key in options or {}:
        _check_option(path, cfg, key)
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f'{path}: --cfg-options does not fit the config: {error.args[0]}') from None
    return cfg


def _reading_error(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        if '\ufeff' in (error.text or '') or 'U+FEFF' in str(error.msg):
            return 'it starts with a byte-order mark; save it as UTF-8 without one'
        return f'line {error.lineno}: {error.msg}'
    text = ' '.join(str(error.args[0] if len(error.args) == 1 else error).split())
    return text if isinstance(error, OSError) else f'{type(error).__name__}: {text}'


def _check_option(path: str, cfg: Config, option: str) -> None:
    """Refuse an override that nobody would read.

    A new name is the constructor's affair where the setting has a ``type``; anywhere else nobody would
    notice it. A variable of the config has done its work when the config has been read.
    """
    error = f'{path}: --cfg-options {option}: '
    first = option.split('.')[0]
    if first not in SETTINGS:
        if first in cfg:
            made = [
                where for where, node in _dicts({k: cfg[k] for k in cfg if k in SETTINGS}) if first in node
            ]
            advice = f'override {made[0]}.{first}' if made else 'override the settings that it was used for'
            raise InputError(f'{error}{first} is a variable of the config, which has been read; {advice}')
        raise InputError(error + _no_such(first, 'the config', SETTINGS))
    node, parent = cfg._cfg_dict, ''
    for key in option.split('.'):
        if isinstance(node, (list, tuple)):
            if not key.isdigit() or int(key) >= len(node):
                raise InputError(f'{error}{parent} is a list of {len(node)}, wanted 0 or higher, got {key}')
            node = node[int(key)]
        elif not isinstance(node, dict):
            raise InputError(f'{error}{parent} is {node!r:.60} and has no {key}')
        elif key in node:
            node = node[key]
        elif not parent or key == '_delete_' or 'type' in node or parent.rpartition('.')[2] in _JUDGED:
            return
        else:
            raise InputError(error + _no_such(key, parent, node))
        parent = f'{parent}.{key}' if parent else key


def _no_such(key: str, parent: str, known: Iterable[str]) -> str:
    known = sorted(map(str, known))
    similar = difflib.get_close_matches(key, known, 1)
    advice = f'did you mean {similar[0]}?' if similar else f'it has {", ".join(known)}'
    return f'there is no {key} in {parent}; {advice}'


def require(cfg: Config, *settings: str) -> None:
    """See that a config has these settings, each a dict.

    Raises:
        InputError: The line names the config and the first that it lacks.
    """
    for name in settings:
        if not isinstance(cfg.get(name), dict):
            raise InputError(f'{cfg.filename}: the config has no {name}')


def check_config(cfg: Config, evaluated: bool = True) -> None:
    """Check what no constructor can see: a model, as many classes as the data have, sizes of images.

    Args:
        cfg: The config.
        evaluated: Whether its evaluators are used, so that they have to read what the dataset reads.

    Raises:
        InputError: The line names the config and the setting.
    """
    require(cfg, 'model')
    _check_values(cfg)
    loaders = {name: cfg[name] for name in _LOADERS if cfg.get(name)}
    _check_datasets(cfg, loaders)
    if evaluated:
        _check_evaluators(cfg, loaders)
    classes = {name: dataset_classes(loader.get('dataset')) for name, loader in loaders.items()}
    first = next((name for name, found in classes.items() if found), None)
    for name, found in classes.items():
        if found and found != classes[first]:
            raise InputError(
                f'{cfg.filename}: {first} has the classes {", ".join(classes[first])}, and {name} '
                f'{", ".join(found)}'
            )
    heads = {key: head for key, head in cfg.model.items() if key in _HEADS and head}
    for where, node in _dicts(heads, 'model'):
        number = node.get('num_classes')
        if number is not None and first and number != len(classes[first]):
            raise InputError(
                f'{cfg.filename}: {where}.num_classes={number!r} does not fit the {len(classes[first])} '
                f'classes of the data: {", ".join(classes[first])}'
            )
    for where, node in _dicts(loaders):
        fault = resize_fault(node) if 'Resize' in str(node.get('type')) else None
        if fault:
            raise InputError(f'{cfg.filename}: {where}.{fault}')


def _check_datasets(cfg: Config, loaders: dict[str, Any]) -> None:
    for where, node in _dicts(loaders):
        if not node.get('metainfo'):
            continue
        meta = node['metainfo']
        classes = meta.get('classes', ()) if isinstance(meta, dict) else None
        named = isinstance(classes, (list, tuple)) and all(isinstance(name, str) for name in classes)
        if not named or len(set(classes)) < len(classes) or 'CLASSES' in meta:
            raise InputError(
                f"{cfg.filename}: {where}.metainfo={meta!r:.80}: wanted dict(classes=('person', 'car')), "
                "each class once; one alone has a comma too: ('person',)"
            )
    for where, node in _dicts(loaders):
        if node.get('times', 1) in (0, None) or node.get('datasets', True) in ([], (), None):
            raise InputError(f'{cfg.filename}: {where} holds nothing: wanted datasets, and times from 1')
        wanted = node.get('box_type', 'hbox')
        for at, step in _dicts(node.get('pipeline'), f'{where}.pipeline'):
            found = step.get('box_type', 'hbox')
            if 'LoadAnnotations' in str(step.get('type')) and found != wanted:
                raise InputError(
                    f'{cfg.filename}: {at}.box_type is {found!r}, that of the dataset {wanted!r}; give both '
                    'the same, see configs/_base_/datasets/oriented_pairs.py'
                )


def _check_evaluators(cfg: Config, loaders: dict[str, Any]) -> None:
    for split in ('val', 'test'):
        dataset = (loaders.get(f'{split}_dataloader') or {}).get('dataset')
        read = _ann_path(dataset)
        for where, node in _dicts(cfg.get(f'{split}_evaluator') or {}, f'{split}_evaluator'):
            path = node.get('ann_file')
            if node.get('type') == 'mmslg.KAISTMissRateMetric':
                continue  # it takes the published ground truth as well, and finds images by their names
            if read and isinstance(path, str) and os.path.realpath(path) != os.path.realpath(read):
                raise InputError(
                    f'{cfg.filename}: {where}.ann_file={path!r}, and {split}_dataloader reads {read!r}; '
                    'wanted the same file. Where data_root + ... makes a path, data_root ends in a slash'
                )


def _ann_path(dataset: Any) -> str | None:
    """Return the annotation file of a dataset without wrappers."""
    ann_file = dataset.get('ann_file') if isinstance(dataset, dict) else None
    root = dataset.get('data_root') or '' if ann_file else ''
    return os.path.join(root, ann_file) if isinstance(ann_file, str) and isinstance(root, str) else None


def _check_values(cfg: Config) -> None:
    for key, kind in _KINDS.items():
        value = cfg.get(key)
        if value is not None and not isinstance(value, kind):
            wanted = ' or '.join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise InputError(f'{cfg.filename}: {key}={value!r:.80}: wanted a {wanted}')
    numbers = {**_LEAST, 'optim_wrapper.optimizer.lr': 0.0}
    for path, least in numbers.items():
        node: Any = cfg
        for key in path.split('.'):
            node = node.get(key, least) if isinstance(node, (dict, Config)) else least
        kinds = (int, float) if isinstance(least, float) else int
        unset = node is None and (path == 'randomness.seed' or path.split('.')[0] not in cfg)
        if not unset and (not isinstance(node, kinds) or isinstance(node, bool) or not least <= node < 2**32):
            whole = 'a number' if isinstance(least, float) else 'a whole number'
            raise InputError(f'{cfg.filename}: {path}={node!r:.80}: wanted {whole} from {least:g}')
    clip = (cfg.get('optim_wrapper') or {}).get('clip_grad') or {}
    unknown = [key for key in clip if key not in ('type', 'max_norm', 'norm_type', 'error_if_nonfinite')]
    if unknown:  # it would be found after the first step
        raise InputError(f'{cfg.filename}: optim_wrapper.clip_grad.{unknown[0]}: wanted max_norm, norm_type')
    if not isinstance(logging.getLevelName(cfg.get('log_level', 'INFO')), int):
        raise InputError(f'{cfg.filename}: log_level={cfg.log_level!r}: wanted INFO, WARNING or the like')


def dataset_classes(dataset: Any) -> list[str] | None:
    """Return the class names that the config of a dataset, maybe in wrappers, sets; None if it sets none."""
    if isinstance(dataset, (list, tuple)):
        return next(filter(None, map(dataset_classes, dataset)), None)
    if not isinstance(dataset, dict):
        return None
    meta = dataset.get('metainfo')
    classes = meta.get('classes') if isinstance(meta, dict) else None
    if isinstance(classes, (list, tuple)):
        return [str(name) for name in classes]
    return dataset_classes(dataset.get('dataset') or dataset.get('datasets'))


def _dicts(node: Any, path: str = '') -> Iterator[tuple[str, dict]]:
    """Yield dotted path and content of every dict within."""
    if isinstance(node, dict):
        yield path, node
    elif not isinstance(node, (list, tuple)):
        return
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield from _dicts(value, f'{path}.{key}' if path else str(key))
