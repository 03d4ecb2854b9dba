"""Count a detector's parameters part by part, and check that every trainable one gets a gradient.

The weights do not matter here: the model is built without them, nothing is downloaded.
"""

import argparse
from dataclasses import asdict

from mmslg.apis.configs import require
from mmslg.apis.launch import add_analysis_arguments, read_config
from mmslg.apis.profiling import (
    WAKING_STEPS,
    GradientReport,
    ParameterCount,
    build_detector,
    check_gradients,
    check_size,
    count_parameters,
    toy_batch,
)
from mmslg.utils.cli import parse_size, run
from mmslg.utils.io import refuse_overwriting, write_json


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_analysis_arguments(parser)
    parser.add_argument(
        '--size',
        type=parse_size,
        default=(256, 192),
        metavar='WxH',
        help='pixels of the toy pair; some heads train their coarse levels on large images alone [256x192]',
    )
    return parser.parse_args()


def format_table(rows: list[ParameterCount]) -> str:
    """Format the counts in millions; rows that repeat others are indented and follow a rule."""
    width = max(len(row.name) for row in rows) + 2
    lines = [f'{"":{width}}{"trainable M":>12}{"frozen M":>12}']
    for row in rows:
        name = f'= {row.name}' if row.subtotal else row.name
        lines.append(f'{name:{width}}{row.trainable / 1e6:12.3f}{row.frozen / 1e6:12.3f}')
    return '\n'.join(lines)


def format_report(report: GradientReport) -> str:
    """Say in words what came of the check of the gradients."""
    if report.ok:
        return f'every trainable parameter gets a gradient (after {WAKING_STEPS} steps), no frozen one does'
    lines = []
    for names, what in (
        (report.without, 'trainable parameters get no gradient'),
        (report.not_finite, 'trainable parameters get a gradient that is not finite'),
        (report.frozen_with, 'parameters that should be frozen get a gradient'),
    ):
        if names:
            lines += [f'{len(names)} {what}:', *(f'  {name}' for name in names)]
    return '\n'.join(lines)


def main() -> int:
    """Count, check and report."""
    args = parse_args()
    refuse_overwriting(args.json, args.config)
    cfg = read_config(args.config, args.cfg_options)
    require(cfg, 'model')
    check_size(cfg, args.size)
    model = build_detector(cfg)
    rows = count_parameters(model)
    print(f'{args.config}, built without weights')
    print(format_table(rows), flush=True)
    report = check_gradients(model, toy_batch(model, cfg, args.size, batch_size=1))
    print(format_report(report))
    if args.json is not None:
        write_json(
            args.json,
            {
                'config': args.config,
                'parameters': [asdict(row) for row in rows],
                'gradients': {'ok': report.ok, **asdict(report)},
            },
            indent=2,
        )
    return 0 if report.ok else 1


if __name__ == '__main__':
    run(main)
