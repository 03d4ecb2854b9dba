"""Where a training starts: from nothing, from a checkpoint's weights, or where a run stopped."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmslg.apis.configs import SETTINGS, dataset_classes
from mmslg.engine.checkpoints import compare_classes, read_checkpoint
from mmslg.engine.identity import difference, differences, flat_settings, in_short, run_identity
from mmslg.engine.main_process import from_main_process
from mmslg.errors import InputError

_UNITS = {'iters': 'iterations', 'epochs': 'epochs'}

MAY_DIFFER = (
    *('work_dir', 'load_from', 'resume', 'launcher', 'experiment_name', 'log_level'),
    *('log_processor.*', 'visualizer.*', 'env_cfg.mp_cfg.*', 'env_cfg.dist_cfg.*', 'test_*'),
    *(f'default_hooks.{name}.*' for name in ('logger', 'timer', 'visualization', 'checkpoint')),
    *(f'train_cfg.{name}' for name in ('max_iters', 'max_epochs', 'val_interval', 'val_begin')),
    *(f'*_dataloader.{name}' for name in ('num_workers', 'persistent_workers', 'pin_memory')),
    *('*_dataloader.prefetch_factor', 'model_wrapper_cfg.*'),
)
"""Settings that a resumed run may have otherwise than the run had: its weights do not depend on them."""

_IMAGES = {'model.data_preprocessor.modality': "'both'", 'model.backbone.trunk_input': "'rgb'"}
"""Settings that say which images a model sees, as a config that leaves them out has them; any weights fit."""

_PATHS = ('*.data_root', '*.ann_file', '*.caption_store')
"""Settings that may differ where the files behind them have the same content."""


def set_start(cfg: Config, resume: str | None) -> str:
    """Set ``load_from`` and ``resume`` of a config, and check the checkpoint that they name.

    The main process looks and reads for all.

    Args:
        cfg: The config, with its work folder.
        resume: A checkpoint to go on from; ``'auto'`` is the latest of the work folder, and where it has
            none, ``load_from`` stays in force; None leaves the config as it is.

    Returns:
        A remark for the log, ``''`` if there is none.

    Raises:
        InputError: The checkpoint cannot be read or does not fit, or nothing is left to train.
    """
    found = from_main_process(lambda: _find_start(cfg, resume))
    cfg.load_from, cfg.resume, remark, seed = found
    if seed is not None:
        cfg.randomness = {**(cfg.get('randomness') or {}), 'seed': seed}
    return remark


def _find_start(cfg: Config, resume: str | None) -> tuple[str | None, bool, str, int | None]:
    """Return ``load_from``, ``resume``, the remark, and the seed if the config leaves it open."""
    remark, seed = '', None
    if resume is None and cfg.get('resume'):
        resume = cfg.get('load_from') or 'auto'
    if resume == 'auto':
        resume = latest_checkpoint(cfg.work_dir)
        if resume is None:
            start = f'load_from {cfg.load_from}' if cfg.get('load_from') else 'scratch'
            remark = f'nothing to resume in {cfg.work_dir}: starting from {start}'
    source = cfg.get('load_from') if resume is None else resume
    if not source:
        return source, False, remark, seed
    advice = 'train that model first, or give --cfg-options load_from=None' if resume is None else ''
    checkpoint = read_checkpoint(source, advice=advice)
    other = compare_classes(source, checkpoint, dataset_classes(cfg.train_dataloader.get('dataset')))
    if resume is not None:
        if other:
            raise InputError(f'{other}; resume with the classes of the run')
        done, limit, unit = progress(cfg, source, checkpoint)
        if done >= limit:
            raise InputError(
                f'{source}: has {done} of {limit} {_UNITS[unit]}, nothing is left to train; raise '
                f'train_cfg.max_{unit}, or test it'
            )
        if cfg.get('param_scheduler') and 'param_schedulers' not in checkpoint:
            raise InputError(
                f'{source}: it was saved without the schedules of the learning rate '
                '(save_param_scheduler=False), which would begin anew; start from its weights with '
                '--cfg-options load_from=CHECKPOINT'
            )
        remark = _same_run(cfg, source, checkpoint.get('identity'))
        if not _has_seed(cfg):
            seed = checkpoint['meta'].get('seed')
    else:
        tuning = other and f'{other}: this is a fine-tuning'
        remark = '; '.join(filter(None, [remark, tuning, compare_images(cfg, source, checkpoint)]))
    return source, resume is not None, remark, seed


def _has_seed(cfg: Config) -> bool:
    return (cfg.get('randomness') or {}).get('seed') is not None


def _same_run(cfg: Config, path: str, before: Any) -> str:
    """Return the differences to the run of a checkpoint that are admitted.

    Raises:
        InputError: Another one; the line names it.
    """
    parts = [before.get(part) if isinstance(before, dict) else None for part in ('settings', 'files')]
    if not all(isinstance(part, dict) for part in parts):
        return f'{path} does not say of which run it is: whether this goes on exactly is not known'
    now = run_identity(cfg)
    found = differences(before, now)
    admitted = list(MAY_DIFFER)
    if sorted(map(str, before['files'].values())) == sorted(map(str, now['files'].values())):
        admitted += _PATHS
    if not _has_seed(cfg):
        admitted += ['randomness', 'randomness.seed']
    kept, refused = [], []
    for key, sentence in found.items():
        is_setting = key in before['settings'] or key in now['settings']
        if is_setting and key.split('.')[0] not in SETTINGS:
            continue  # a variable of the config, which has done its work
        (kept if any(fnmatchcase(key, name) for name in admitted) else refused).append(sentence)
    if refused:
        raise InputError(
            f'{path}: is of another run ({in_short(refused)}); resume with config, data and seed of the run, '
            'or start from its weights with --cfg-options load_from=CHECKPOINT'
        )
    return f'going on with other settings: {"; ".join(kept)}' if kept else ''


def check_tested(cfg: Config, path: str) -> str:
    """Check the checkpoint that a config is to be tested with; the main process reads it.

    Returns:
        A remark for the log, ``''`` if there is none.

    Raises:
        InputError: The checkpoint cannot be read, or was trained on other classes.
    """
    return from_main_process(lambda: compare_images(cfg, path, read_tested(cfg, path)))


def read_tested(cfg: Config, path: str) -> dict:
    """Read the checkpoint that a config is to be tested with, in this process.

    Raises:
        InputError: As :func:`check_tested`.
    """
    checkpoint = read_checkpoint(path)
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    other = compare_classes(path, checkpoint, dataset_classes(loader.get('dataset')))
    if other:
        raise InputError(f'{other}; test it with the config that it was trained with')
    return checkpoint


def compare_images(cfg: Config, path: str, checkpoint: dict) -> str:
    """Return how the images that a model sees differ from those it was trained on, ``''`` if nothing says so.

    Args:
        cfg: The config.
        path: What the checkpoint is called.
        checkpoint: One of a training, or an export of it.
    """
    meta = checkpoint.get('meta')
    identity = checkpoint.get('identity') or (meta.get('identity') if isinstance(meta, dict) else None)
    before = identity.get('settings') if isinstance(identity, dict) else None
    if not isinstance(before, dict):
        return ''
    found = difference(*({'settings': _images(s), 'files': {}} for s in (before, flat_settings(cfg))))
    if not found:
        return ''
    return (
        f'{path}: it was trained on other images than this config gives it ({found}); '
        'take the config that it was trained with, unless this is meant'
    )


def _images(settings: dict) -> dict:
    """Return the settings that say which images a model sees; one image alone is the trunk's, too."""
    found = {key: settings.get(key, usual) for key, usual in _IMAGES.items()}
    modality = found['model.data_preprocessor.modality']
    return found | {'model.backbone.trunk_input': modality} if modality in ("'rgb'", "'ir'") else found


def latest_checkpoint(work_dir: str) -> str | None:
    """Return the checkpoint that a work folder calls its last, None if it calls none so.

    Raises:
        InputError: The one that it names is not there.
    """
    file = Path(work_dir) / 'last_checkpoint'
    if not file.is_file():
        return None
    name = file.read_bytes().decode(errors='replace').strip()
    for path in (Path(name), Path(work_dir) / Path(name).name):  # a folder that was moved
        if name and name.isprintable() and len(name) < 1000 and path.is_file():
            return str(path)
    raise InputError(
        f'{file} names {name[:200]!r}, and there is no such checkpoint; give --resume CHECKPOINT, or remove '
        'that file to start anew'
    )


def progress(cfg: Config, path: str, checkpoint: dict) -> tuple[int, int, str]:
    """Return how far a checkpoint is, how far its config trains, and ``'iters'`` or ``'epochs'``.

    Raises:
        InputError: The checkpoint holds weights alone.
    """
    meta = checkpoint.get('meta')
    done = [meta.get(key) for key in ('iter', 'epoch')] if isinstance(meta, dict) else [None]
    known = all(isinstance(number, int) and number >= 0 for number in done)
    state = [checkpoint.get(key) for key in ('optimizer', 'message_hub')]
    if not known or not all(isinstance(part, dict) for part in state):
        raise InputError(
            f'{path}: it holds weights and no state of a training; start from them with '
            '--cfg-options load_from=CHECKPOINT in the place of --resume'
        )
    key = 'iter' if 'max_iters' in cfg.train_cfg else 'epoch'
    return meta[key], cfg.train_cfg[f'max_{key}s'], f'{key}s'


def is_finished(cfg: Config, work_dir: str) -> bool:
    """Whether the last checkpoint of a work folder has all that the config trains."""
    path = latest_checkpoint(work_dir)
    if path is None:
        return False
    done, limit, _ = progress(cfg, path, read_checkpoint(path, 'meta'))
    return done >= limit
