"""How a config is changed for a table: its seed is one thing, its data's place and its batch are others."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from mmslg.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
DATA_ROOT = 'data'
"""Where the configs have their datasets."""


def shown(path: str) -> str:
    """Return a path of the project as it is called from here; a path that is found from here stays."""
    if os.path.isabs(path) or Path.cwd() == ROOT or os.path.exists(path):
        return path
    return str(ROOT / path)


def python() -> str:
    """Return how this Python is called.

    In a virtual environment it is a link to the Python that made it, which has other packages: a ``python``
    counts as this one where it lies in the same folder too.
    """
    found = shutil.which('python')
    if found is None or not os.path.samefile(found, sys.executable):
        return sys.executable
    folders = {os.path.dirname(os.path.abspath(path)) for path in (found, sys.executable)}
    return 'python' if len(folders) == 1 else sys.executable


def last_name(cfg: Config) -> str:
    """Return the name of the last checkpoint of a training."""
    unit = 'iter' if 'max_iters' in cfg.train_cfg else 'epoch'
    return f'{unit}_{cfg.train_cfg[f"max_{unit}s"]}.pth'


def data_options(cfg: Config, root: str) -> list[str]:
    """Return what moves the datasets of a config from ``data/`` to another folder."""
    if os.path.normpath(root) == DATA_ROOT:
        return []
    found = []
    for split in ('train', 'val', 'test'):
        dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}
        evaluator = cfg.get(f'{split}_evaluator') or {}
        for key, node, name in (
            (f'{split}_dataloader.dataset.data_root', dataset, 'data_root'),
            (f'{split}_evaluator.ann_file', evaluator if isinstance(evaluator, dict) else {}, 'ann_file'),
        ):
            value = node.get(name)
            if isinstance(value, str) and value.startswith(f'{DATA_ROOT}/'):
                found.append(f'{key}={os.path.join(root, value.removeprefix(f"{DATA_ROOT}/"))}')
    return found


def batch_option(config: str, cfg: Config, gpus: int, options: Sequence[str]) -> list[str]:
    """Return what makes the effective batch the recipe's, whatever the number of processes.

    Args:
        config: Its path, for the message.
        cfg: The config.
        gpus: Number of processes.
        options: Overrides of the user, who may have chosen a batch.

    Raises:
        InputError: The recipe's batch cannot be shared among the processes.
    """
    total = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    own = any(word.startswith('train_dataloader.batch_size=') for word in options)
    if total is None or own:
        return []
    each, rest = divmod(total, gpus * cfg.optim_wrapper.get('accumulative_counts', 1))
    if rest or not each:
        raise InputError(
            f'--gpus {gpus}: the batch of {config} is {total}, which they cannot share; '
            f'wanted a divisor of it, or --cfg-options train_dataloader.batch_size=N'
        )
    return [] if each == cfg.train_dataloader.batch_size else [f'train_dataloader.batch_size={each}']
