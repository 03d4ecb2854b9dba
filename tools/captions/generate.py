"""Caption the visible and infrared pairs of annotation files.

Example:
    python tools/captions/generate.py data/flir/train.json data/flir/test.json \
        --captioner photometric --out data/flir/captions.jsonl
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Sequence

from mmslg.captions.base import build_captioner
from mmslg.captions.generation import generate_captions
from mmslg.captions.pairs import read_pairs
from mmslg.captions.schema import COMPONENTS, CaptionRecord
from mmslg.utils import cli
from mmslg.utils.progress import Progress

TABLE_ROWS = 12


def parse_args() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('annotations', nargs='+', metavar='ANNOTATIONS', help='COCO-form JSON files')
    parser.add_argument('--captioner', default='photometric', help='registered name (default: photometric)')
    parser.add_argument('--out', required=True, metavar='JSONL', help='captions.jsonl to write')
    parser.add_argument('--root', metavar='DIR', help="the dataset's folder [that of each annotation file]")
    for what in ('visible', 'infrared'):
        parser.add_argument(
            f'--{what}',
            metavar='DIR',
            help=f'{what} images [as the annotation file says, else {what}/ below --root]',
        )
    parser.add_argument('--resume', action='store_true', help='caption only the pairs that --out lacks')
    parser.add_argument('--workers', type=_positive, default=min(4, os.cpu_count() or 1), help='threads')
    return parser.parse_args()


def distribution(records: Sequence[CaptionRecord]) -> str:
    """Return a table of how often each phrase occurs in each component."""
    lines = []
    for name in COMPONENTS:
        counts = Counter(getattr(record.caption, name) for record in records)
        lines.append(f'{name} ({len(counts)} distinct)')
        for phrase, count in counts.most_common(TABLE_ROWS):
            lines.append(f'  {count:7d}  {100 * count / len(records):5.1f} %  {phrase}')
        rest = sum(count for _, count in counts.most_common()[TABLE_ROWS:])
        if rest:
            lines.append(f'  {rest:7d}  {100 * rest / len(records):5.1f} %  (others)')
    return '\n'.join(lines)


def main() -> None:
    """Caption all pairs."""
    args = parse_args()
    captioner = build_captioner(args.captioner)
    pairs = read_pairs(args.annotations, args.visible, args.infrared, args.root)
    progress: Progress | None = None

    def report(done: int, total: int) -> None:
        nonlocal progress
        progress = progress or Progress(total, 'pairs')
        progress.update(done)

    records = generate_captions(pairs, captioner, args.captioner, args.out, args.resume, args.workers, report)
    print(distribution(records))
    print(f'{len(records)} captions in {args.out}')


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'wanted at least 1, got {value}')
    return value


if __name__ == '__main__':
    cli.run(main)
