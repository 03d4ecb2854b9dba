"""What training and testing share: arguments, the config, the machine."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmslg.apis.configs import check_config, read_config
from mmslg.apis.processes import LAUNCHERS, check_launcher, start_processes
from mmslg.engine.main_process import from_main_process
from mmslg.engine.runner import PairRunner
from mmslg.errors import InputError
from mmslg.utils.cli import rank
from mmslg.utils.config_errors import explain_config_errors
from mmslg.utils.io import try_folder
from mmslg.utils.os_errors import explain

__all__ = [
    'add_analysis_arguments',
    'add_cfg_options',
    'add_common_arguments',
    'build_runner',
    'fit_to_machine',
    'load_config',
    'missing_cuda_ops',
    'parse_options',
    'read_config',
    'writing_to',
]


class KeyValueAction(DictAction):
    """MMEngine's KEY=VALUE arguments, with a line for what is none."""

    def __call__(self, parser, namespace, values, option_string='--cfg-options') -> None:
        """Collect the pairs."""
        for value in values:
            if '=' not in value or value.startswith('='):
                raise InputError(f'{option_string} {value}: wanted KEY=VALUE, such as randomness.seed=1')
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError:
            raise InputError(f'{option_string} {" ".join(values)}: brackets that do not match') from None


def parse_options(values: list[str]) -> dict:
    """Return the settings that KEY=VALUE words override.

    Raises:
        InputError: One of them is no such word.
    """
    namespace = argparse.Namespace()
    KeyValueAction(['--cfg-options'], 'options')(None, namespace, values)
    return namespace.options


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add MMDetection's flags for config overrides, work folder and launcher."""
    parser.add_argument('--work-dir', help='folder for logs and checkpoints [work_dirs/CONFIG]')
    add_cfg_options(parser)
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='who started the processes')
    parser.add_argument(
        '--compile', action='store_true', help='run backbone and necks compiled (minutes at the start)'
    )
    # torch.distributed.launch gives it beside the environment, which counts.
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)


def add_analysis_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every analysis of a config takes: the config, overrides, a file for the figures."""
    parser.add_argument('config', help='config file')
    add_cfg_options(parser)
    parser.add_argument('--json', metavar='FILE', help='write the figures to this file')


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add the flag for overrides of the config."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=KeyValueAction,
        metavar='KEY=VALUE',
        help='override settings of the config, such as train_dataloader.batch_size=2',
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the config, apply the common arguments and check it; nothing is started or written.

    Raises:
        InputError: There is no such config, it does not fit together, or an argument does not fit it.
    """
    cfg = read_config(args.config, args.cfg_options)
    check_config(cfg)
    if args.launcher != 'none' or not cfg.get('launcher'):
        cfg.launcher = args.launcher
    check_launcher(cfg.launcher)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    if not cfg.work_dir.strip() or (Path(cfg.work_dir).exists() and not Path(cfg.work_dir).is_dir()):
        raise InputError(f'--work-dir {cfg.work_dir.strip() or "(empty)"}: wanted a folder')
    if args.compile:
        cfg.compile = True
    fit_to_machine(cfg)
    return cfg


def fit_to_machine(cfg: Config) -> None:
    """Where there is no GPU, replace AMP by fp32 and synchronised batch norm by the plain one, and say so."""
    if torch.cuda.is_available():
        return
    wrapper = cfg.get('optim_wrapper') or {}
    instead = []
    if wrapper.get('type') == 'AmpOptimWrapper':
        wrapper['type'] = 'OptimWrapper'
        for key in ('loss_scale', 'dtype'):
            wrapper.pop(key, None)
        instead.append('fp32 in the place of AMP')
    if cfg.get('sync_bn') and cfg.get('launcher', 'none') != 'none':
        cfg.sync_bn = None
        instead.append('batch norm of each process by itself')
    if instead and rank() == 0:
        print(f'no GPU here: {", ".join(instead)}', flush=True)


def missing_cuda_ops() -> str:
    """Return what to say if torch sees a GPU and mmcv was built without CUDA, ``''`` if all is well."""
    from mmcv.ops import get_compiling_cuda_version

    if not torch.cuda.is_available() or get_compiling_cuda_version() != 'not available':
        return ''
    return (
        'mmcv was built without CUDA, and torch sees a GPU: attention, RoIAlign and NMS will be slow or fail '
        'on it; rebuild mmcv on this machine with `bash tools/install.sh`'
    )


@contextmanager
def writing_to(folder: str) -> Iterator[None]:
    """Try the folder of a run before anything is written, and name it where the system names no file.

    Raises:
        InputError: The disk is full, or the like.
    """
    from_main_process(lambda: try_folder(folder))
    try:
        yield
    except OSError as error:
        line = explain(error, folder) if error.filename is None else None
        if line is None:
            raise
        raise InputError(line) from error


def build_runner(cfg: Config) -> Runner:
    """Start the processes of the run if there are several, and build its runner.

    Raises:
        InputError: The launcher has set no environment, the config names what does not exist, or torch cannot
            compile here.
    """
    start_processes(cfg)
    with explain_config_errors(cfg):
        return RUNNERS.build(cfg) if cfg.get('runner_type') else PairRunner.from_cfg(cfg)
