"""What training and testing share: arguments, the config, the machine."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from pickle import UnpicklingError

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from mmslg.errors import InputError


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add MMDetection's flags for config overrides, work folder and launcher."""
    parser.add_argument('--work-dir', help='folder for logs and checkpoints [work_dirs/CONFIG]')
    _add_cfg_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_analysis_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every analysis of a config takes: the config, overrides, a file for the figures."""
    parser.add_argument('config', help='config file')
    _add_cfg_options(parser)
    parser.add_argument('--json', metavar='FILE', help='write the figures to this file')


def _add_cfg_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, such as train_dataloader.batch_size=2',
    )


def read_config(path: str, options: dict | None = None) -> Config:
    """Read a config and override settings; nothing else is touched.

    Raises:
        InputError: There is no such config, or an override fits nowhere in it.
    """
    if not Path(path).is_file():
        raise InputError(f'{path}: no such config')
    cfg = Config.fromfile(path)
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError) as error:
        raise InputError(f'{path}: --cfg-options does not fit the config: {error.args[0]}') from None
    return cfg


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the common arguments.

    Raises:
        InputError: There is no such config, or an override fits nowhere in it.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    fit_to_machine(cfg)
    return cfg


def fit_to_machine(cfg: Config) -> None:
    """Replace what needs a GPU where there is none, and say so: NCCL by Gloo, AMP by fp32."""
    if torch.cuda.is_available():
        return
    notes = []
    if cfg.get('launcher', 'none') != 'none':
        notes.append('gloo in the place of nccl')
        # MMEngine would ask for one GPU a process, both here and in the wrapper.
        torch.distributed.init_process_group('gloo')
        cfg.model_wrapper_cfg = {
            'type': 'MMDistributedDataParallel',
            'device_ids': None,
            'broadcast_buffers': False,
            'find_unused_parameters': cfg.get('find_unused_parameters', False),
        }
    wrapper = cfg.get('optim_wrapper') or {}
    if wrapper.get('type') == 'AmpOptimWrapper':
        wrapper['type'] = 'OptimWrapper'
        for key in ('loss_scale', 'dtype'):
            wrapper.pop(key, None)
        notes.append('fp32 in the place of AMP')
    if notes and int(os.environ.get('RANK', '0')) == 0:
        print(f'no GPU here: {", ".join(notes)}', flush=True)


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config."""
    if cfg.get('runner_type'):
        from mmengine.registry import RUNNERS

        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


def checked_checkpoint(path: str, advice: str = '') -> str:
    """Return ``path`` if a checkpoint of tensors is there.

    Args:
        path: File or URL.
        advice: What to do where there is none.

    Raises:
        InputError: There is none, or it holds more than tensors and plain values.
    """
    if path.startswith(('http://', 'https://')):
        return path
    if not Path(path).is_file():
        raise InputError(f'{path}: no such checkpoint{"; " + advice if advice else ""}')
    from mmengine.runner.checkpoint import _load_checkpoint

    try:
        _load_checkpoint(path, map_location='meta')
    except (UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f'{path}: not a checkpoint that can be loaded safely ({reason})') from None
    return path
