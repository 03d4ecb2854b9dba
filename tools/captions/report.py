r"""Report what captions say: distributions, day and night against annotations, failures, duplicates.

Example:
    python tools/captions/report.py data/flir/captions.jsonl \
        --annotations data/flir/annotations_train.json data/flir/annotations_test.json
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mmslg.annotations import read_annotations
from mmslg.captions.generation import merge_pairs
from mmslg.captions.journal import failed_path, read_failures
from mmslg.captions.report import format_summary, summarise
from mmslg.captions.schema import read_captions
from mmslg.errors import InputError
from mmslg.utils import cli
from mmslg.utils.io import check_folder, refuse_overwriting, write_json
from mmslg.visualization.captions import choose_pairs, draw_pair, draw_summary
from mmslg.visualization.pairs import contact_sheet, write_picture


def parse_args() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('captions', metavar='JSONL', help='captions.jsonl')
    parser.add_argument(
        '--annotations',
        nargs='+',
        metavar='FILE',
        help='COCO-form JSON files: compares the time of day, and draws pairs',
    )
    parser.add_argument(
        '--root', metavar='DIR', help='folder of the images of files that do not say it [that of each file]'
    )
    for what in ('visible', 'infrared'):
        parser.add_argument(f'--{what}', metavar='DIR', help=f'{what} images [as each file says]')
    parser.add_argument(
        '--num',
        type=int,
        default=12,
        help='pairs on the contact sheet, those that disagree first; 0 for none [12]',
    )
    parser.add_argument('--out', metavar='DIR', help='folder for the pictures [captions_report beside JSONL]')
    parser.add_argument('--json', metavar='FILE', help='write the figures to this file')
    return parser.parse_args()


def main() -> None:
    """Print the table and draw the pictures."""
    args = parse_args()
    if args.num < 0:
        raise InputError(f'--num {args.num}: wanted 0 or more')
    annotations = args.annotations or []
    refuse_overwriting(args.json, args.captions, failed_path(args.captions), *annotations)
    out = check_folder(Path(args.captions).with_name('captions_report') if args.out is None else args.out)
    records = read_captions(args.captions)
    prefix = {'img': args.visible, 'ir': args.infrared}
    prefix = {key: os.path.abspath(folder) for key, folder in prefix.items() if folder is not None}
    pairs = merge_pairs(read_annotations(path, args.root, prefix, need_boxes=False) for path in annotations)
    times = {pair.key: pair.time for pair in pairs} if annotations else None
    summary = summarise(records, times, read_failures(args.captions))
    print(format_summary(summary))
    draw_summary(summary, out / 'distribution.png')
    written = ['distribution.png']
    pairs = [pair for pair in pairs if pair.key in records]
    if pairs and args.num:
        chosen = choose_pairs(pairs, summary['annotated']['disagreeing'], args.num)
        sheet = contact_sheet([draw_pair(pair, records[pair.key]) for pair in chosen])
        write_picture(out / 'contact_sheet.png', sheet)
        written.append('contact_sheet.png')
    if args.json is not None:
        write_json(args.json, {'captions_file': str(args.captions), **summary}, indent=2, ensure_ascii=False)
    print(f'{" and ".join(written)} in {out}')


if __name__ == '__main__':
    cli.run(main)
