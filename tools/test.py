"""Test a detector: metrics as a table, predictions as a file and as pictures."""

import argparse
import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

from mmslg.apis.launch import add_common_arguments, build_runner, load_config, writing_to
from mmslg.apis.processes import start_processes
from mmslg.apis.resumption import check_tested
from mmslg.errors import InputError
from mmslg.utils.cli import run
from mmslg.utils.io import refuse_overwriting


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', metavar='PKL', help='write the predictions to this pickle file')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', help='write pictures of the predictions to WORK_DIR/TIME/SHOW_DIR')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds a picture is shown [2]')
    add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Test as the config and the command line say."""
    args = parse_args()
    if args.out is not None and not args.out.endswith(('.pkl', '.pickle')):
        raise InputError(f'--out {args.out}: wanted a name that ends in .pkl')
    refuse_overwriting(args.out, args.checkpoint, args.config)
    cfg = load_config(args)
    start_processes(cfg)
    remark = check_tested(cfg, args.checkpoint)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show or args.show_dir is not None:
        hook = cfg.default_hooks.setdefault('visualization', dict(type='mmslg.PairVisualizationHook'))
        hook.update(draw=True, show=args.show, wait_time=args.wait_time, test_out_dir=args.show_dir)
    from mmslg.apis.results import results_in

    with writing_to(cfg.work_dir):
        runner = build_runner(cfg)
        if remark:
            runner.logger.warning(remark)
        with results_in(args.out, runner):
            runner.test()


if __name__ == '__main__':
    run(main)
