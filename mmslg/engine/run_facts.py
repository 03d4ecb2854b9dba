"""What is to be known of a run, in plain values."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner
from torch import nn

from mmslg.engine.checkpoint_report import CheckpointReportHook
from mmslg.engine.data_files import data_hashes, file_hash
from mmslg.engine.identity import flat_settings
from mmslg.engine.precision_hook import describe_precision
from mmslg.models.backbones import FrozenTrunk
from mmslg.models.modules import bare_model
from mmslg.version import STACK, __version__, find_distribution

ROOT = Path(__file__).resolve().parents[2]
_OF_A_START = ('work_dir', 'load_from', 'resume', 'launcher', 'model_wrapper_cfg')


def run_facts(runner: Runner) -> dict[str, Any]:
    """Describe a training that is about to take its first step."""
    model = bare_model(runner.model)
    trunks = [module for module in model.modules() if isinstance(module, FrozenTrunk)]
    reports = [hook.loaded for hook in runner.hooks if isinstance(hook, CheckpointReportHook)]
    return dict(
        time=time.strftime('%Y-%m-%dT%H:%M:%S%z'),
        command=shlex.join(sys.argv),
        config=config_facts(runner.cfg),
        code=git_state(ROOT),
        seed=runner.seed,
        batch=batch_facts(runner),
        length=length_facts(runner),
        optimizer=optimizer_facts(runner.optim_wrapper),
        parameters=count_parameters(model),
        weights=dict(
            trunk=[str(trunk.report or 'frozen trunk of random weights') for trunk in trunks],
            trunk_sha256=[trunk.fingerprint for trunk in trunks],
            checkpoint=next(filter(None, reports), None),
            resumed_at=runner.iter if runner._resume else None,
        ),
        data=data_facts(runner.cfg),
        protocols=protocols(runner),
        precision=precision_facts(runner, model, trunks),
        device=device_facts(),
        versions=versions(),
    )


def config_facts(cfg: Config) -> dict[str, Any]:
    """Return a config's file with hash and git state, and the hash of all settings with overrides.

    The latter leaves out where a run lies, started from and was started by: they differ from start to start.
    """
    kept = [item for item in flat_settings(cfg).items() if item[0].split('.')[0] not in _OF_A_START]
    settings = hashlib.sha256(repr(sorted(kept)).encode()).hexdigest()
    if not cfg.filename:
        return dict(file=None, sha256=None, settings_sha256=settings, git=None)
    return dict(
        file=cfg.filename,
        sha256=file_hash(cfg.filename),
        settings_sha256=settings,
        git=git_state(Path(cfg.filename).resolve().parent, Path(cfg.filename).name),
    )


def git_state(folder: Path, file: str | None = None) -> dict[str, Any] | None:
    """Return the commit that a folder is at, and whether tracked files differ from it; None without git.

    Args:
        folder: Within a working tree.
        file: Of the folder; one that git does not know makes the tree differ.
    """

    def git(*arguments: str) -> str | None:
        command = ['git', '-C', str(folder), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, errors='replace')
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit, changes = git('rev-parse', 'HEAD'), git('status', '--porcelain', '--untracked-files=no')
    if commit is None or changes is None:
        return None
    unknown = file is not None and git('ls-files', '--error-unmatch', '--', file) is None
    return dict(commit=commit, changed=bool(changes) or unknown)


def batch_facts(runner: Runner) -> dict[str, Any]:
    """Return the effective batch and its factors, and the batch that the recipe's rates are for."""
    per_process = runner.train_dataloader.batch_sampler.batch_size
    accumulated = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    auto = runner.cfg.get('auto_scale_lr') or {}
    return dict(
        effective=per_process * get_world_size() * accumulated,
        a_process=per_process,
        processes=get_world_size(),
        accumulated=accumulated,
        recipe=auto.get('base_batch_size'),
        scaled=bool(auto.get('enable')),
    )


def length_facts(runner: Runner) -> dict[str, Any]:
    """Return iterations, epochs (a run in iterations: what they come to) and samples of the data."""
    samples = len(runner.train_dataloader.dataset)
    epochs = runner.max_epochs
    if 'max_iters' in runner.cfg.train_cfg:
        seen = runner.max_iters * runner.train_dataloader.batch_sampler.batch_size * get_world_size()
        epochs = round(seen / max(samples, 1), 2)
    return dict(iterations=runner.max_iters, epochs=epochs, samples=samples)


def optimizer_facts(optim_wrapper: Any) -> dict[str, Any]:
    """Return the optimizer and its groups, with the rates before any schedule."""
    optimizer = optim_wrapper.optimizer
    groups = [
        dict(
            lr=group.get('initial_lr', group['lr']),
            weight_decay=group.get('weight_decay', 0),
            tensors=len(group['params']),
            parameters=sum(param.numel() for param in group['params']),
        )
        for group in optimizer.param_groups
    ]
    return dict(type=type(optimizer).__name__, groups=groups)


def count_parameters(model: nn.Module) -> dict[str, dict[str, int]]:
    """Count trainable and frozen parameters by module; a module with both is taken apart."""
    found: dict[str, dict[str, int]] = {}
    seen: set[int] = set()

    def count(params: Any) -> dict[str, int]:
        new = [param for param in params if id(param) not in seen]
        trainable = sum(param.numel() for param in new if param.requires_grad)
        return dict(trainable=trainable, frozen=sum(param.numel() for param in new) - trainable)

    def visit(name: str, module: nn.Module) -> None:
        numbers = count(module.parameters())
        children = list(module.named_children())
        if children and (not name or (numbers['trainable'] and numbers['frozen'])):
            for child, part in children:
                visit(f'{name}.{child}' if name else child, part)
            numbers = count(module.parameters(recurse=False))
        if any(numbers.values()):
            found[name or 'itself'] = numbers
        seen.update(map(id, module.parameters()))

    visit('', model)
    return found


def data_facts(cfg: Config) -> dict[str, dict[str, str | None]]:
    """Return the hashes of annotations, caption stores, and manifests of conversions beside them."""
    files = data_hashes(cfg)
    manifests = sorted({os.path.join(os.path.dirname(path), 'manifest.json') for path in files})
    return dict(files=files, manifests={path: file_hash(path) for path in manifests if os.path.isfile(path)})


def protocols(runner: Runner) -> list[str]:
    """Return what the figures of validation stand for; a metric that does not say it is named."""
    if runner.val_loop is None:
        return []
    return [
        str(metric.describe()).removeprefix('protocol: ')
        if hasattr(metric, 'describe')
        else type(metric).__name__
        for metric in runner.val_evaluator.metrics
    ]


def precision_facts(runner: Runner, model: nn.Module, trunks: list[FrozenTrunk]) -> dict[str, Any]:
    """Return the types that are computed in, in words as well."""
    amp = isinstance(runner.optim_wrapper, AmpOptimWrapper)
    return dict(
        trunk=[str(trunk.dtype).removeprefix('torch.') for trunk in trunks],
        amp=str(runner.optim_wrapper.cast_dtype or torch.float16).removeprefix('torch.') if amp else None,
        tf32=torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
        compiled=bool(runner.cfg.get('compile')),
        words=describe_precision(model, amp),
    )


def device_facts() -> dict[str, Any]:
    """Return the device of the main process."""
    if torch.cuda.is_available():
        return dict(name=torch.cuda.get_device_name(), threads=torch.get_num_threads())
    return dict(name=f'CPU ({platform.machine()})', threads=torch.get_num_threads())


def versions() -> dict[str, str | None]:
    """Return the versions of what the arithmetic depends on; None for what is not there."""
    stack = {wanted.module: find_distribution(wanted.distributions) for wanted in STACK}
    return dict(
        python=platform.python_version(),
        torch=torch.__version__,
        cuda=torch.version.cuda,
        **{module: ' '.join(found) if found else None for module, found in stack.items()},
        timm=metadata.version('timm'),
        mmslg=__version__,
    )
