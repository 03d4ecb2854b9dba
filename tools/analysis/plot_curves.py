"""Plot loss and validation metrics of one or more training runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmslg.apis.training_logs import read_run
from mmslg.errors import InputError
from mmslg.utils.cli import run
from mmslg.utils.io import refuse_overwriting, write_json
from mmslg.visualization.curves import draw_convergence, draw_runs, over_seeds, total_fall
from mmslg.visualization.figures import check_png, figure_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULT_METRICS = ('bbox_mAP', 'bbox_mAP_50', 'mAP', 'mAP_50', 'AP50', 'all_all', 'reasonable_all')
"""Last parts of the metric names that are drawn unless --metrics names others."""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='work folder of a training')
    parser.add_argument('--out', metavar='PNG', help='picture to write [curves.png in the first folder]')
    parser.add_argument(
        '--metrics', nargs='+', metavar='NAME', help='metrics to draw, such as coco/bbox_mAP_75'
    )
    parser.add_argument(
        '--over-seeds',
        action='store_true',
        help='each WORK_DIR holds a folder seed_* for each seed: draw mean and deviation of one metric',
    )
    parser.add_argument('--json', metavar='FILE', help='write the figures to this file')
    return parser.parse_args()


def choose_metrics(runs: list[dict], wanted: list[str] | None) -> list[str]:
    """Choose the metrics to draw.

    Raises:
        InputError: A metric of ``wanted`` was never logged.
    """
    logged = list(dict.fromkeys(name for run_ in runs for name in run_['metrics']))
    if wanted is None:
        return [name for name in logged if name.rsplit('/', 1)[-1] in DEFAULT_METRICS]
    for name in wanted:
        if name not in logged:
            raise InputError(f'--metrics {name}: not in the logs, which hold {", ".join(logged) or "none"}')
    return wanted


def read_seeds(folder: str) -> list[dict[str, Any]]:
    """Read the runs of a config, one a seed: ``FOLDER/seed_*``, or the folder ``train`` in each.

    Raises:
        InputError: There is none.
    """
    seeds = sorted(path for path in Path(folder).glob('seed_*') if path.is_dir())
    if not seeds:
        raise InputError(f'{folder}: no seed_* there; wanted a folder of runs, one a seed')
    return [read_run(seed / 'train' if (seed / 'train').is_dir() else seed) for seed in seeds]


def report_each(runs: list[dict], names: list[str], figure: Figure) -> dict[str, Any]:
    """Draw each run as a line; return what is drawn."""
    draw_runs(runs, names, figure)
    for run_ in runs:
        last = [f'loss {run_["loss"][-1][1]:.4g} at iteration {run_["loss"][-1][0]}']
        last += [f'{name} {run_["metrics"][name][-1][1]:.3f}' for name in names if name in run_['metrics']]
        print(f'{run_["run"]}: {", ".join(last)}')
    return {'runs': runs, 'drawn': names}


def report_over_seeds(cells: dict[str, list[dict]], metric: str, figure: Figure) -> dict[str, Any]:
    """Draw configs over their seeds; return what is drawn."""
    draw_convergence(figure, cells, metric)
    rows = []
    for name, runs in cells.items():
        curves = [run_['metrics'].get(metric, []) for run_ in runs]
        points, fall = over_seeds(curves).tolist(), sum(map(total_fall, curves)) / len(curves)
        rows.append({'name': name, 'seeds': len(runs), 'points': points, 'fall': fall})
        last = f'{points[-1][1]:.3f} ± {points[-1][2]:.3f}' if points else 'no validation yet'
        print(f'{name}: {metric} {last} over {len(runs)} seeds, falls by {fall:.3f} between validations')
    return {'configs': rows, 'drawn': [metric]}


def main() -> None:
    """Read, draw and report."""
    args = parse_args()
    out = check_png(Path(args.work_dirs[0], 'curves.png') if args.out is None else args.out, '--out')
    read = read_seeds if args.over_seeds else lambda work_dir: [read_run(work_dir)]
    groups = [read(folder) for folder in args.work_dirs]
    runs = [run_ for group in groups for run_ in group]
    refuse_overwriting(args.json, *(f'{run_["run"]}/vis_data/scalars.json' for run_ in runs))
    names = choose_metrics(runs, args.metrics)
    if args.over_seeds:
        if args.metrics is None:
            names = [name for name in names if name.endswith('mAP_50')] or names
        cells = {Path(folder).name: group for folder, group in zip(args.work_dirs, groups)}
        if len(cells) < len(groups) or len(names) != 1:
            raise InputError('--over-seeds wants folders of different names, and --metrics with one name')
    with figure_in(out, figsize=(13, 4.6) if args.over_seeds else (11, 4.2)) as figure:
        if args.over_seeds:
            drawn = report_over_seeds(cells, names[0], figure)
        else:
            drawn = report_each(runs, names, figure)
    print(f'curves in {out}')
    if args.json is not None:
        write_json(args.json, drawn | {'picture': str(out)}, indent=2)


if __name__ == '__main__':
    run(main)
