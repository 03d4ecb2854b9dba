"""Draw the sample scenes: a small data set of aligned visible and thermal street images.

Example:
    python tools/make_sample_scenes.py data/sample_scenes --sheet work_dirs/sample_scenes.png
"""

from __future__ import annotations

import argparse

from mmslg.utils import cli
from mmslg.utils.io import check_writable
from mmslg.visualization.figures import check_png
from sample_scenes.dataset import Plan, summary, write_oracle, write_scenes, write_sheet
from sample_scenes.weather import CONDITIONS


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Draw aligned visible and thermal street scenes with persons, cars and bicycles.'
    )
    parser.add_argument('out', help='folder to make; must be missing, empty or hold these very scenes')
    parser.add_argument('--train', type=int, default=240, help='training scenes (default: %(default)s)')
    parser.add_argument('--test', type=int, default=60, help='test scenes (default: %(default)s)')
    parser.add_argument(
        '--size', type=cli.parse_size, default=(320, 256), metavar='WxH', help='pixels (default: 320x256)'
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='other seeds, other scenes (default: %(default)s)'
    )
    parser.add_argument('--condition', choices=CONDITIONS, help='draw this one alone (default: all, mixed)')
    parser.add_argument('--workers', type=int, default=2, help='processes (default: %(default)s)')
    parser.add_argument(
        '--captions',
        metavar='JSONL',
        help='also write captions that say what the generator knows of each scene',
    )
    parser.add_argument('--sheet', metavar='PNG', help='also draw a contact sheet with the boxes')
    return parser.parse_args()


def main() -> None:
    """Write the scenes, tell what is in them."""
    args = parse_args()
    if args.sheet is not None:
        check_png(args.sheet, '--sheet')
    if args.captions is not None:
        check_writable(args.captions)
    plan = Plan(args.train, args.test, args.size, args.seed, args.condition)
    if not write_scenes(args.out, plan, args.workers):
        print(f'{args.out}: complete, nothing to do')
    print(summary(args.out), end='')
    if args.captions is not None:
        write_oracle(args.captions, plan, args.workers)
        print(f'captions: {args.captions}')
    if args.sheet is not None:
        write_sheet(args.out, args.sheet)
        print(f'contact sheet: {args.sheet}')


if __name__ == '__main__':
    cli.run(main)
