"""Log-average miss rate (MR^-2) on KAIST of one or more files of detections, without MATLAB."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from mmslg.evaluation.functional import (
    PROTOCOLS,
    SETTINGS,
    SPLITS,
    Curve,
    compute_miss_rates,
    describe_ground_truth,
    find_notes,
    format_table,
    miss_rates_of,
    name_methods,
    read_detections,
    read_ground_truth,
)
from mmslg.utils.cli import run
from mmslg.utils.io import refuse_overwriting, write_json
from mmslg.visualization.figures import check_png, figure_in
from mmslg.visualization.palette import CURVES, STYLES

FPPI_RANGE = (1e-3, 10)
MISS_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.64, 0.8, 1)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--gt', required=True, metavar='GT', help='annotation JSON, or folder of improved bbGt text files'
    )
    parser.add_argument(
        '--dets',
        required=True,
        nargs='+',
        metavar='FILE',
        help='text of "image index,x,y,w,h,score" (index from 1), COCO result JSON, or folder of text files',
    )
    parser.add_argument(
        '--protocol',
        choices=PROTOCOLS,
        default='matlab',
        help='matlab: the devkit; sejong: the Python script of MLPD and INSANet [matlab]',
    )
    parser.add_argument(
        '--setting',
        nargs='+',
        choices=SETTINGS,
        default=['reasonable', 'all'],
        metavar='NAME',
        help=f'one or more of {", ".join(SETTINGS)} [reasonable all]',
    )
    parser.add_argument('--json', metavar='OUT', help='write the figures to this file')
    parser.add_argument('--plot', metavar='PNG', help='draw miss rate against false positives per image')
    return parser.parse_args()


def draw(methods: dict[str, dict[str, dict[str, Curve]]], protocol: str, out: Path) -> None:
    """Draw a row of panels for each setting: all, day, night."""
    settings = list(next(iter(methods.values())))
    looks = {
        name: {'color': CURVES[i % 7], 'linestyle': STYLES[i // 7 % 4]} for i, name in enumerate(methods)
    }
    size = 15, (4.6 + 0.12 * len(methods)) * len(settings)
    with figure_in(out, figsize=size) as figure:
        grid = figure.subplots(len(settings), 3, squeeze=False)
        for setting, row in zip(settings, grid):
            for split, axes in zip(SPLITS, row):
                curves = {name: curves[setting][split] for name, curves in methods.items()}
                draw_panel(axes, curves, looks, PROTOCOLS[protocol].points)
                images = 'all images' if split == 'all' else split
                axes.set_title(f'KAIST, setting {setting}, {images} ({protocol} protocol)', fontsize=11)


def draw_panel(axes, curves: dict[str, Curve], looks: dict[str, dict], points: tuple[float, ...]) -> None:
    """Draw the curves of all methods, the best first in the legend."""

    def rank(name: str) -> float:
        return math.inf if math.isnan(curves[name].miss_rate) else curves[name].miss_rate

    lowest = 1.0
    axes.axvspan(points[0], points[-1], color='0.95', zorder=0)
    for name in sorted(curves, key=rank):
        curve = curves[name]
        if math.isnan(curve.miss_rate):
            axes.plot([], [], label=f'no persons  {name}', **looks[name])
            continue
        start = int((curve.fppi <= FPPI_RANGE[0]).sum())
        fppi = [FPPI_RANGE[0], *curve.fppi[start:]]
        miss = [curve.miss[start - 1] if start else 1.0, *curve.miss[start:]]
        axes.step(
            fppi,
            miss,
            where='post',
            linewidth=1.8,
            marker=None if len(fppi) > 1 else 'o',
            label=f'{curve.miss_rate:5.2f}%  {name}',
            **looks[name],
        )
        lowest = min([lowest, *(value for value in miss if value > 0)])
    bottom = max((tick for tick in MISS_TICKS if tick <= lowest), default=MISS_TICKS[0])
    axes.set(xscale='log', yscale='log', xlim=FPPI_RANGE, ylim=(min(bottom, 0.5), 1.05))
    ticks = [tick for tick in MISS_TICKS if tick >= bottom]
    axes.set_yticks(ticks, [f'{tick:g}' for tick in ticks])
    axes.xaxis.set_major_formatter('{x:g}')  # that of matplotlib writes formulas
    axes.minorticks_off()
    axes.set(xlabel='false positives per image', ylabel='miss rate')
    axes.grid(alpha=0.4)
    axes.spines[['top', 'right']].set_visible(False)
    columns = 2 if len(curves) > 2 else 1
    # Below the panel: inside, it would hide the curves of good methods.
    axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.13), ncols=columns, fontsize=9.5, frameon=False)


def main() -> None:
    """Read, evaluate and report."""
    args = parse_args()
    settings = tuple(dict.fromkeys(args.setting))
    if args.plot is not None:
        check_png(args.plot, '--plot')
    files = name_methods(args.dets)
    inputs = [args.gt, *args.dets]
    inputs += [file for path in inputs if Path(path).is_dir() for file in Path(path).glob('*.txt')]
    for out in (args.json, args.plot):
        refuse_overwriting(out, *inputs)
    truth = read_ground_truth(args.gt)
    print('\n'.join(describe_ground_truth(truth, settings)))
    methods = {}
    for stem, path in files.items():
        detections = read_detections(path, truth)
        print(f'{stem}: {"; ".join(find_notes(detections, truth, args.protocol))}')
        methods[stem] = compute_miss_rates(truth, detections, settings, args.protocol)
    print('\nlog-average miss rate in percent')
    print(format_table(methods, args.protocol))
    if args.json is not None:
        write_json(args.json, {stem: miss_rates_of(curves) for stem, curves in methods.items()}, indent=2)
        print(f'figures in {args.json}')
    if args.plot is not None:
        draw(methods, args.protocol, Path(args.plot))
        print(f'curves in {args.plot}')


if __name__ == '__main__':
    run(main)
