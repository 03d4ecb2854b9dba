"""The command line of the converters."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from mmslg.conversion import readers
from mmslg.conversion.base import EDGE_POLICIES, LABEL_CHOICES, Options
from mmslg.conversion.build import Split, build
from mmslg.conversion.layout import Layout, plural
from mmslg.conversion.output import source_version, write_outputs
from mmslg.conversion.published import PAIRS
from mmslg.errors import InputError
from mmslg.utils.progress import count_to, progress_bar

EXAMPLES = 3


def add_options(parser: argparse.ArgumentParser, dataset: str | None) -> None:
    """Add the options that a dataset leaves open; None adds those of all."""
    if dataset in ('dronevehicle', 'kaist', None):
        parser.add_argument(
            '--labels',
            choices=LABEL_CHOICES,
            default='ir',
            help='labels drawn in the infrared (default) or in the visible images, where there are both',
        )
    if dataset in ('kaist', None):
        parser.add_argument(
            '--train-list', metavar='NAME', help='KAIST: training list, where there are several'
        )


def options_of(args: argparse.Namespace) -> Options:
    """Return the options of a command line."""
    values = vars(args)
    return Options(**{k: values[k] for k in ('edge', 'labels', 'train_list') if k in values})


def parse_args(dataset: str, description: str | None, argv: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line of a converter."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', metavar='ROOT', type=Path, help='folder of the dataset')
    parser.add_argument(
        '--out', metavar='DIR', type=Path, help='where annotations are written (default: ROOT)'
    )
    add_options(parser, dataset)
    if dataset == 'dronevehicle':
        parser.add_argument(
            '--edge',
            choices=EDGE_POLICIES,
            default='clip',
            help='boxes across the edge of the content: clip them (default), keep or drop them',
        )
    return parser.parse_args(argv)


def convert_folder(dataset: str, description: str | None, argv: list[str] | None = None) -> None:
    """Convert a folder and say what was recognised, written, dropped and left out."""
    args = parse_args(dataset, description, argv)
    signal.signal(signal.SIGTERM, _interrupt)
    reader = readers.make_reader(dataset, options_of(args))
    out = args.out or args.root
    if out.exists() and not out.is_dir():
        raise InputError(f'{out}: --out should be a folder')
    layout = reader.recognise(args.root)
    print(f'recognised: {layout.description}')
    if layout.labels_only:
        width, height = reader.size
        print(
            f'there are no images: converting the labels alone, with {width}x{height} pixels and the '
            'official names'
        )
    total = sum(map(len, layout.splits.values()))
    shown = total > 5000 or sys.stderr.isatty()
    splits = build(reader, layout, count_to(progress_bar(total, 'pairs')) if shown else None)
    _print_summary(dataset, layout, splits)
    outcome = write_outputs(reader, layout, splits, out)
    for name, what in outcome.items():
        print(f'{what}: {out / name}')


def _print_summary(dataset: str, layout: Layout, splits: dict[str, Split]) -> None:
    visible, infrared = layout.prefixes
    modality = ', '.join(dict.fromkeys(f'{layout.modality_of(s)} ({s})' for s in splits))
    print(f'labels: drawn in: {modality}; version: {source_version(dataset, splits)}')
    print(f"data_prefix=dict(img='{visible}', ir='{infrared}'), below data_root='{layout.root}'")
    for name, split in splits.items():
        count = len(split.data['images'])
        published = PAIRS[dataset].get(name)
        of = f' of {published} published' if published else ''
        boxes = ', '.join(f'{split.boxes[c]} {c}' for c in layout_classes(split))
        times = ''.join(f', {n} {time}' for time, n in sorted(split.times.items()))
        num_boxes = plural(sum(split.boxes.values()), 'box', 'boxes')
        print(f'{name}: {plural(count, "pair")}{of}{times}; {num_boxes}: {boxes}')
        for alias, n in sorted(split.aliases.items()):
            print(f'  merged: {n} {alias}')
        for remark, n in sorted(split.remarks.items()):
            print(f'  {n} {remark}')
        for reason, keys in sorted(split.left_out.items()):
            more = ', ...' if len(keys) > EXAMPLES else ''
            print(f'  left out: {plural(len(keys), "pair")}, {reason}: {", ".join(keys[:EXAMPLES])}{more}')
    for kind, items in sorted(layout.problems.items()):
        print(f'  not used, {kind}: {len(items)}, {items[0]}{", ..." if len(items) > 1 else ""}')


def layout_classes(split: Split) -> list[str]:
    """Return the class names in their order."""
    return [c['name'] for c in split.data['categories']]


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
