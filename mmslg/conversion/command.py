"""The command lines of tools/convert.py and tools/verify_data.py: the datasets with their options."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from mmslg.conversion.base import DatasetReader, option_name
from mmslg.conversion.build import Split, build
from mmslg.conversion.layout import SPLITS, Layout, plural
from mmslg.conversion.output import annotation_file, source_version, write_outputs
from mmslg.conversion.readers import find_readers, make_reader
from mmslg.errors import InputError
from mmslg.utils.image_io import looks_swapped
from mmslg.utils.os_errors import explained
from mmslg.utils.progress import count_to, progress_bar

EXAMPLES = 3
LOOKED_AT = 5
"""Pairs whose pixels are asked whether the visible and the infrared images are swapped."""


def parse_args(
    description: str | None,
    add_options: Callable[[argparse.ArgumentParser], None],
    argv: list[str] | None = None,
) -> tuple[DatasetReader, argparse.Namespace]:
    """Parse ``DATASET ROOT``, the options of a tool and those of the dataset.

    Args:
        description: What the tool does.
        add_options: Adds the options that the tool has for every dataset.
        argv: Command line; None takes that of the process.

    Returns:
        The dataset's reader with its options, and the parsed command line.
    """
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=raw)
    datasets = parser.add_subparsers(dest='dataset', metavar='DATASET', required=True)
    readers = find_readers()
    for name, reader in readers.items():
        command = datasets.add_parser(name, help=reader.title, description=reader.title)
        command.add_argument('root', metavar='ROOT', type=Path, help='folder of the dataset')
        add_options(command)
        for flag, settings in reader.flags.items():
            command.add_argument(flag, **settings)
    args = parser.parse_args(argv)
    options = {key: vars(args)[key] for key in map(option_name, readers[args.dataset].flags)}
    return make_reader(args.dataset, **options), args


def convert_folder(description: str | None, argv: list[str] | None = None) -> None:
    """Convert a folder and say what was recognised, written, dropped and left out."""

    def add_options(command: argparse.ArgumentParser) -> None:
        command.add_argument('--out', metavar='DIR', help='where annotations are written (default: ROOT)')

    reader, args = parse_args(description, add_options, argv)
    out = args.root if args.out is None else _out_folder(args.out)
    layout = reader.recognise(args.root)
    print(f'recognised: {layout.description}')
    if layout.labels_only:
        size = 'x'.join(map(str, reader.sizes[0])) + ' pixels' if reader.sizes else 'the sizes in the labels'
        print(f'there are no images: converting the labels alone, with {size} and the official names')
    total = sum(map(len, layout.splits.values()))
    show = total > 5000 or sys.stderr.isatty()
    splits = build(reader, layout, count_to(progress_bar(total, 'pairs')) if show else None)
    _print_summary(reader, layout, splits)
    _warn_of_swapped(reader, layout, splits)
    for name, what in write_outputs(reader, layout, splits, out).items():
        print(f'{what}: {out / name}')
    for split in SPLITS:
        path = out / annotation_file(split)
        if split not in splits and path.is_file():
            print(f'not of this conversion, remove it if it is of an earlier one: {path}')


def _out_folder(name: str) -> Path:
    """Return the folder named by ``--out`` if it is one or can become one."""
    if not name.strip():
        raise InputError('--out is empty, wanted a folder')
    with explained(name):
        if os.path.lexists(name) and not stat.S_ISDIR(os.stat(name).st_mode):
            raise InputError(f'{name}: --out should be a folder')
    return Path(name)


def _warn_of_swapped(reader: DatasetReader, layout: Layout, splits: dict[str, Split]) -> None:
    if layout.labels_only:
        return
    images = [image for split in splits.values() for image in split.data['images']]
    few = images[:: -(-len(images) // LOOKED_AT)]
    folders = [f'{layout.root}/{prefix}' for prefix in layout.prefixes]
    swapped = sum(looks_swapped(folders[0] + i['file_name'], folders[1] + i['file_name_ir']) for i in few)
    if 2 * swapped > len(few):
        told = '--visible' in reader.flags
        mend = 'say which is which by --visible and --infrared' if told else 'swap the two folders'
        print(
            f'warning: in {swapped} of {len(few)} pairs that were looked at the visible image is gray and '
            f'the infrared one in colour, so the two look swapped; {mend}',
            file=sys.stderr,
        )


def _print_summary(reader: DatasetReader, layout: Layout, splits: dict[str, Split]) -> None:
    visible, infrared = layout.prefixes
    modality = ', '.join(dict.fromkeys(f'{layout.modality_of(s)} ({s})' for s in splits))
    print(f'labels: drawn in: {modality}; version: {source_version(reader, splits)}')
    print(f"data_prefix=dict(img='{visible}', ir='{infrared}'), below data_root='{layout.root}'")
    for name, split in splits.items():
        count = len(split.data['images'])
        published = reader.pairs.get(name)
        of = f' of {published} published' if published else ''
        boxes = ', '.join(f'{split.boxes[c]} {c}' for c in reader.classes)
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
