"""The command line of tools/verify_data.py."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mmslg.conversion.command import parse_args
from mmslg.conversion.layout import plural
from mmslg.conversion.output import refuse_inputs
from mmslg.conversion.verification import report
from mmslg.conversion.verification.checks import run_checks
from mmslg.conversion.verification.inspect import inspect_layout
from mmslg.errors import InputError
from mmslg.utils.io import write_json
from mmslg.utils.progress import count_to, progress_bar


def verify_folder(description: str | None, argv: list[str] | None = None) -> int:
    """Verify a folder; returns 0 if it is fit to train on, else 1."""
    reader, args = parse_args(description, _add_options, argv)
    if args.workers < 0:
        raise InputError(f'--workers should be 0 or more, got {args.workers}')
    if args.plot and args.plot.suffix.lower() != '.png':
        raise InputError(f'--plot should name a .png file, got {args.plot}')
    layout = reader.recognise(args.root)
    print(f'recognised: {layout.description}')
    if layout.labels_only:
        raise InputError(f'{args.root}: there are no images, only labels; nothing to verify, get the images')
    total = sum(map(len, layout.splits.values()))
    if total == 0:
        raise InputError(f'{args.root}: no pairs')
    refuse_inputs(layout, *filter(None, (args.json, args.plot)))
    reports = inspect_layout(reader, layout, args.workers, count_to(progress_bar(total, 'pairs')))
    checks = run_checks(reader, layout, reports)
    report.print_table(checks)
    if args.json:
        write_json(args.json, report.as_data(reader, layout, reports, checks), indent=1, allow_nan=False)
        print(f'written: {args.json}')
    if args.plot:
        print(f'written: {args.plot}, {report.plot_shifts(args.plot, reader.name, reports)}')
    fit, sentence = report.verdict(checks)
    print(f'{plural(total, "pair")}: {sentence}')
    return 0 if fit else 1


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument('--json', metavar='FILE', type=Path, help='write all findings as JSON')
    command.add_argument('--plot', metavar='PNG', type=Path, help='draw the distribution of the shifts')
    command.add_argument(
        '--workers', type=int, default=min(os.cpu_count() or 1, 16), help='processes (default: one a core)'
    )
