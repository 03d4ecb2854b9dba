r"""Caption the visible and infrared pairs of annotation files.

Example:
    python tools/captions/generate.py data/flir/train.json data/flir/test.json \
        --captioner photometric --out data/flir/captions.jsonl

    torchrun --nproc-per-node 4 tools/captions/generate.py data/flir/train.json --captioner qwen \
        --model Qwen/Qwen2.5-VL-7B-Instruct --out data/flir/captions.jsonl --resume

    python tools/captions/generate.py data/flir/train.json --captioner openai \
        --base-url http://localhost:8000/v1 --model Qwen/Qwen2.5-VL-72B-Instruct --concurrency 32 \
        --out data/flir/captions.jsonl
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from mmengine.config import DictAction

from mmslg.captions.building import build_captioner
from mmslg.captions.captioners.qwen import DTYPES
from mmslg.captions.generation import generate_captions, shard_from_environment
from mmslg.captions.journal import failed_path
from mmslg.captions.pairs import read_pairs
from mmslg.captions.schema import COMPONENTS, CaptionRecord
from mmslg.errors import InputError
from mmslg.utils import cli
from mmslg.utils.progress import count_to, progress_bar

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
    parser.add_argument(
        '--workers',
        '--concurrency',
        dest='workers',
        type=_positive,
        help='threads; for openai the requests at once [openai: 8, others: one per core, at most 4]',
    )
    parser.add_argument(
        '--import',
        dest='modules',
        action='append',
        default=[],
        metavar='MODULE',
        help='import this module first; it may register a captioner of yours (may be repeated)',
    )
    _add_captioner_options(parser.add_argument_group('options of the captioner; each knows only some'))
    return parser.parse_args()


def _add_captioner_options(group: Any) -> None:
    options = [
        group.add_argument('--model', help='qwen: folder or hub name; openai: name at the server'),
        group.add_argument('--batch-size', type=_positive, help='qwen: pairs generated together [4]'),
        group.add_argument('--dtype', choices=DTYPES, help='qwen: precision of the weights [auto]'),
        group.add_argument('--device', help='qwen: auto, cpu, cuda, cuda:1 ... [auto]'),
        group.add_argument('--base-url', metavar='URL', help='openai: [http://localhost:8000/v1]'),
        group.add_argument(
            '--api-key-env', metavar='NAME', help='openai: variable of the key [OPENAI_API_KEY]'
        ),
        group.add_argument('--timeout', type=float, help='openai: seconds a server may be silent [120]'),
        group.add_argument('--retries', type=int, help='openai: further tries of a failed request [5]'),
        group.add_argument('--max-pixels', type=_positive, help='bound of each image [802816]'),
        group.add_argument('--max-tokens', type=_positive, help='bound of an answer [256]'),
        group.add_argument('--attempts', type=_positive, help='questions for each pair, at most [3]'),
    ]
    group.add_argument(
        '--captioner-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='further options, for captioners of your own',
    )
    group.set_defaults(captioner_flags=[option.dest for option in options])


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


def main() -> int:
    """Caption all pairs; return 1 if some got no caption."""
    args = parse_args()
    for module in args.modules:
        _import(module)
    given = {name: getattr(args, name) for name in args.captioner_flags}
    options = {name: value for name, value in given.items() if value is not None}
    rank, world = shard_from_environment()
    pairs = read_pairs(args.annotations, args.visible, args.infrared, args.root)
    captioner = build_captioner(args.captioner, **{**options, **args.captioner_options})
    workers = args.workers or captioner.workers or min(4, os.cpu_count() or 1)
    what = 'pairs' if world == 1 else f'pairs of process {rank + 1} of {world}'
    progress: Callable[[int], None] | None = None

    def report(done: int, total: int) -> None:
        nonlocal progress
        progress = progress or count_to(progress_bar(total, what))
        progress(done)

    result = generate_captions(
        pairs, captioner, args.captioner, args.out, args.resume, workers, report, rank, world
    )
    if not result.whole:
        print(
            f'process {rank + 1} of {world}: {len(result.records)} pairs captioned, {len(result.failures)} '
            f'failed; the process that ends last writes {args.out}'
        )
        return 0  # anything else would make torchrun stop the other processes
    if result.records:
        print(distribution(result.records))
    print(f'{len(result.records)} captions in {args.out}')
    if result.failures:
        print(
            f'error: pairs without a caption: {len(result.failures)}, listed in {failed_path(args.out)}; '
            '--resume tries them again',
            file=sys.stderr,
        )
    return 1 if result.failures else 0


def _import(module: str) -> None:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f'--import {module}: {error}; name a module as Python imports it from here'
        ) from None


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'wanted at least 1, got {value}')
    return value


if __name__ == '__main__':
    cli.run(main)
