r"""Caption the visible and infrared pairs of annotation files.

Examples:
    python tools/captions/generate.py data/flir/train.json data/flir/test.json \
        --captioner photometric --out data/flir/captions.jsonl

    python tools/captions/generate.py data/flir/train.json --captioner qwen \
        --model Qwen/Qwen2.5-VL-7B-Instruct --out data/flir/captions.jsonl

    python tools/captions/generate.py data/flir/train.json --captioner openai \
        --base-url http://localhost:8000/v1 --model Qwen/Qwen2.5-VL-72B-Instruct --concurrency 32 \
        --out data/flir/captions.jsonl
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from mmengine.config import DictAction

from mmslg.annotations import check_files, read_annotations
from mmslg.captions.building import build_captioner, import_modules
from mmslg.captions.captioners.qwen import DTYPES
from mmslg.captions.generation import generate_captions, merge_pairs
from mmslg.captions.journal import failed_path, partial_path
from mmslg.captions.report import format_summary, summarise
from mmslg.errors import InputError
from mmslg.utils import cli
from mmslg.utils.io import check_writable, refuse_overwriting
from mmslg.utils.progress import count_to, progress_bar


def parse_args() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('annotations', nargs='+', metavar='ANNOTATIONS', help='COCO-form JSON files')
    parser.add_argument('--captioner', default='photometric', help='registered name (default: photometric)')
    parser.add_argument('--out', required=True, metavar='JSONL', help='captions.jsonl to write')
    parser.add_argument(
        '--root', metavar='DIR', help='folder of the images of files that do not say it [that of each file]'
    )
    for what in ('visible', 'infrared'):
        parser.add_argument(f'--{what}', metavar='DIR', help=f'{what} images [as each file says]')
    parser.add_argument('--resume', action='store_true', help='caption only the pairs that --out lacks')
    parser.add_argument(
        '--workers',
        '--concurrency',
        dest='workers',
        type=cli.parse_positive,
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
        group.add_argument(
            '--batch-size', type=cli.parse_positive, help='qwen: pairs generated together [4]'
        ),
        group.add_argument('--dtype', choices=DTYPES, help='qwen: precision of the weights [auto]'),
        group.add_argument('--device', help='qwen: auto, cpu, cuda, cuda:1 ... [auto]'),
        group.add_argument('--base-url', metavar='URL', help='openai: [http://localhost:8000/v1]'),
        group.add_argument(
            '--api-key-env', metavar='NAME', help='openai: variable of the key [OPENAI_API_KEY]'
        ),
        group.add_argument('--timeout', type=float, help='openai: seconds a server may be silent [120]'),
        group.add_argument('--retries', type=int, help='openai: further tries of a failed request [5]'),
        group.add_argument('--max-pixels', type=cli.parse_positive, help='bound of each image [802816]'),
        group.add_argument('--max-tokens', type=cli.parse_positive, help='bound of an answer [256]'),
        group.add_argument(
            '--attempts', type=cli.parse_positive, help='questions for each pair, at most [3]'
        ),
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


def main() -> int:
    """Caption all pairs; return 1 if some got no caption."""
    args = parse_args()
    for path in (check_writable(args.out), partial_path(args.out), failed_path(args.out)):
        refuse_overwriting(path, *args.annotations)
    import_modules(args.modules)
    prefix = {'img': args.visible, 'ir': args.infrared}
    prefix = {key: os.path.abspath(folder) for key, folder in prefix.items() if folder is not None}
    files = [read_annotations(path, args.root, prefix, need_boxes=False) for path in args.annotations]
    for file in files:
        if file.tolerated:
            print(f'{file.path}: {file.remarks()}')
        if args.root and not prefix and file.data['info'].get('data_root'):
            print(f'{file.path}: says where its images lie, so --root does not count for it')
    pairs = merge_pairs(files)
    try:
        check_files(pairs)
    except InputError as error:
        raise InputError(f'{error} Here: --root, or --visible and --infrared') from None
    given = {name: getattr(args, name) for name in args.captioner_flags}
    options = {name: value for name, value in given.items() if value is not None}
    captioner = build_captioner(args.captioner, **{**options, **args.captioner_options})
    workers = args.workers or captioner.workers or min(4, os.cpu_count() or 1)
    progress: Callable[[int], None] | None = None

    def report(done: int, total: int) -> None:
        nonlocal progress
        progress = progress or count_to(progress_bar(total, 'pairs'))
        progress(done)

    result = generate_captions(pairs, captioner, args.captioner, args.out, args.resume, workers, report)
    if result.records:
        print(format_summary(summarise({r.file_name: r for r in result.records}, failures=result.failures)))
    print(f'{len(result.records)} captions in {args.out}')
    if result.failures:
        print(
            f'error: pairs without a caption: {len(result.failures)}, listed in {failed_path(args.out)}; '
            '--resume tries them again',
            file=sys.stderr,
        )
    return 1 if result.failures else 0


if __name__ == '__main__':
    cli.run(main)
