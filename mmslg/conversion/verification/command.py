"""The command line of tools/verify_data.py."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mmslg.conversion.command import add_options, options_of
from mmslg.conversion.layout import plural
from mmslg.conversion.readers import READERS, make_reader
from mmslg.conversion.verification import report
from mmslg.conversion.verification.checks import run_checks
from mmslg.conversion.verification.inspect import inspect_layout
from mmslg.errors import InputError
from mmslg.utils.progress import count_to, progress_bar


def parse_args(description: str | None, argv: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('dataset', choices=sorted(READERS), help='which dataset')
    parser.add_argument('root', metavar='ROOT', type=Path, help='its folder')
    parser.add_argument('--json', metavar='FILE', type=Path, help='write all findings as JSON')
    parser.add_argument('--plot', metavar='PNG', type=Path, help='draw the distribution of the shifts')
    parser.add_argument(
        '--workers', type=int, default=min(os.cpu_count() or 1, 16), help='processes (default: one a core)'
    )
    add_options(parser, None)
    return parser.parse_args(argv)


def verify_folder(description: str | None, argv: list[str] | None = None) -> int:
    """Verify a folder; returns 0 if it is fit to train on, else 1."""
    args = parse_args(description, argv)
    if args.workers < 0:
        raise InputError(f'--workers should be 0 or more, got {args.workers}')
    if args.plot and args.plot.suffix.lower() != '.png':
        raise InputError(f'--plot should name a .png file, got {args.plot}')
    reader = make_reader(args.dataset, options_of(args))
    layout = reader.recognise(args.root)
    print(f'recognised: {layout.description}')
    if layout.labels_only:
        raise InputError(f'{args.root}: there are no images, only labels; nothing to verify, get the images')
    total = sum(map(len, layout.splits.values()))
    if total == 0:
        raise InputError(f'{args.root}: no pairs')
    reports = inspect_layout(reader, layout, args.workers, count_to(progress_bar(total, 'pairs')))
    checks = run_checks(reader, layout, reports)
    report.print_table(checks)
    if args.json:
        report.write_data(args.json, report.as_data(args.dataset, layout, reports, checks))
        print(f'written: {args.json}')
    if args.plot:
        print(f'written: {args.plot}, {report.plot_shifts(args.plot, args.dataset, reports)}')
    fit, sentence = report.verdict(checks)
    print(f'{plural(total, "pair")}: {sentence}')
    return 0 if fit else 1
