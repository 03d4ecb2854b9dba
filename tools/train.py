"""Train a detector."""

import argparse
import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

from mmslg.apis.launch import add_common_arguments, build_runner, load_config, missing_cuda_ops, writing_to
from mmslg.apis.processes import start_processes
from mmslg.apis.resumption import set_start
from mmslg.errors import InputError
from mmslg.utils.cli import run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--amp', action='store_true', help='run backbone, necks and encoder in float16 (needs a GPU)'
    )
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate with the effective batch'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint, by default the latest of the work folder',
    )
    add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Train as the config and the command line say."""
    args = parse_args()
    cfg = load_config(args)
    if args.amp:
        import torch

        if not torch.cuda.is_available():
            raise InputError('--amp needs a GPU, and none was found; leave it out')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise InputError(f'{args.config}: --auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...)')
        cfg.auto_scale_lr.enable = True
    start_processes(cfg)
    remark = set_start(cfg, args.resume)
    with writing_to(cfg.work_dir):
        runner = build_runner(cfg)
        for line in filter(None, (remark, missing_cuda_ops())):
            runner.logger.warning(line)
        runner.train()


if __name__ == '__main__':
    run(main)
