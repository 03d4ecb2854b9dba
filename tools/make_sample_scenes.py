"""Draw the sample scenes: a small data set of aligned visible and thermal street images.

Example:
    python tools/make_sample_scenes.py data/sample_scenes --sheet work_dirs/sample_scenes.png
"""

from __future__ import annotations

import argparse
import re
from functools import partial

from mmslg.errors import InputError
from mmslg.testing.sample_scenes import Plan, summary, write_scenes, write_sheet
from mmslg.testing.scenes.sheet import check_sheet_path
from mmslg.utils import cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Draw aligned visible and thermal street scenes with persons, cars and bicycles.'
    )
    parser.add_argument('out', help='folder to make; must be missing or empty')
    parser.add_argument('--train', type=int, default=240, help='training scenes (default: %(default)s)')
    parser.add_argument('--test', type=int, default=60, help='test scenes (default: %(default)s)')
    parser.add_argument('--size', default='320x256', help='WIDTHxHEIGHT in pixels (default: %(default)s)')
    parser.add_argument(
        '--seed', type=int, default=0, help='other seeds, other scenes (default: %(default)s)'
    )
    parser.add_argument('--workers', type=int, default=2, help='processes (default: %(default)s)')
    parser.add_argument('--sheet', metavar='PNG', help='also draw a contact sheet with the boxes')
    return parser.parse_args()


def main() -> None:
    """Write the scenes, tell what is in them."""
    args = parse_args()
    found = re.fullmatch(r'(\d+)x(\d+)', args.size)
    if not found:
        raise InputError(f'--size wants WIDTHxHEIGHT such as 320x256, got {args.size!r}')
    if args.sheet:
        check_sheet_path(args.sheet)
    size = (int(found[1]), int(found[2]))
    plan = Plan(train=args.train, test=args.test, size=size, seed=args.seed)
    write_scenes(args.out, plan, args.workers, say=partial(print, flush=True))
    print(summary(args.out), end='')
    if args.sheet:
        write_sheet(args.out, args.sheet)
        print(f'contact sheet: {args.sheet}')


if __name__ == '__main__':
    cli.run(main)
