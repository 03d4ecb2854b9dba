"""Plot loss and validation metrics of one or more training runs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmslg.errors import InputError
from mmslg.utils.cli import run
from mmslg.utils.io import refuse_overwriting, write_json
from mmslg.visualization.figures import check_png, figure_in
from mmslg.visualization.palette import CURVES, STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULT_METRICS = ('bbox_mAP', 'bbox_mAP_50', 'mAP', 'mAP_50', 'AP50')
"""Last parts of the metric names that are drawn unless --metrics names others."""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='work folder of a training')
    parser.add_argument('--out', metavar='PNG', help='picture to write [curves.png in the first folder]')
    parser.add_argument(
        '--metrics', nargs='+', metavar='NAME', help='metrics to draw, such as coco/bbox_mAP_75'
    )
    parser.add_argument('--json', metavar='FILE', help='write the figures to this file')
    return parser.parse_args()


def read_scalars(path: Path) -> list[dict[str, Any]]:
    """Read what MMEngine logged, one JSON object a line; a last line cut short is left out.

    Raises:
        InputError: Another line is not JSON.
    """
    lines = path.read_text(encoding='utf-8').splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise InputError(f'{path}, line {number}: not valid JSON ({error})') from None
        rows.append(row)
    return rows


def read_run(work_dir: str) -> dict[str, Any]:
    """Read the newest training of a work folder.

    Returns:
        ``run``: the folder of this run; ``loss``: points (iteration, loss); ``metrics``: by name, points
        (step, value); ``by_epoch``: whether those steps are epochs.

    Raises:
        InputError: There is no log of a training.
    """
    folder = Path(work_dir)
    if not folder.is_dir():
        raise InputError(f'{work_dir}: no such folder')
    logs = sorted(
        [*folder.glob('*/vis_data/scalars.json'), *folder.glob('vis_data/scalars.json')], reverse=True
    )
    if not logs:
        raise InputError(
            f'{work_dir}: no */vis_data/scalars.json there; wanted the work folder of a training'
        )
    for path in logs:
        rows = read_scalars(path)
        # Tests leave logs in the same folder; a training is known by its loss.
        if any('loss' in row for row in rows):
            break
    else:
        raise InputError(f'{work_dir}: its logs hold no loss; wanted the work folder of a training')
    training = [row for row in rows if 'loss' in row]
    metrics: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, value in row.items():
            if 'loss' not in row and '/' in name and isinstance(value, (int, float)):
                metrics.setdefault(name, []).append((row.get('step', 0), value))
    return {
        'work_dir': work_dir,
        'run': str(path.parent.parent),
        'loss': [(row.get('iter', row.get('step')), row['loss']) for row in training],
        'metrics': metrics,
        'by_epoch': any('epoch' in row for row in training),
    }


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


def draw(runs: list[dict], names: list[str], figure: Figure) -> None:
    """Draw both panels."""
    left, right = figure.subplots(1, 2)
    several = len(runs) > 1
    for i, run_ in enumerate(runs):
        colour = CURVES[i % len(CURVES)]
        title = Path(run_['work_dir']).name or run_['work_dir']
        left.plot(*zip(*run_['loss']), color=colour, linewidth=1.8, label=title)
        for j, name in enumerate(n for n in names if n in run_['metrics']):
            look = (
                {'color': colour, 'linestyle': STYLES[j % len(STYLES)]}
                if several
                else {'color': CURVES[j % 7]}
            )
            points = run_['metrics'][name]
            label = f'{title}: {name}' if several else name
            label = f'{label}, last {points[-1][1]:.3f}'
            right.plot(*zip(*points), marker='o', markersize=4, linewidth=1.8, label=label, **look)
    left.set(title='Training loss', xlabel='iteration', ylabel='loss', xlim=(0, None), ylim=(0, None))
    right.set(title='Validation', ylabel='metric', xlim=(0, None))
    right.set_xlabel('epoch' if all(run_['by_epoch'] for run_ in runs) else 'iteration')
    right.xaxis.get_major_locator().set_params(integer=True)
    left.legend(frameon=False)
    if right.lines:
        right.legend(frameon=False)
        best = max(value for line in right.lines for value in line.get_ydata())
        right.set_ylim(0, 1 if best > 0.6 else 1.6 * best + 0.02)
    else:
        right.text(
            0.5, 0.5, 'no validation yet', ha='center', va='center', color='grey', transform=right.transAxes
        )
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)


def main() -> None:
    """Read, draw and report."""
    args = parse_args()
    runs = [read_run(work_dir) for work_dir in args.work_dirs]
    refuse_overwriting(args.json, *(f'{run_["run"]}/vis_data/scalars.json' for run_ in runs))
    names = choose_metrics(runs, args.metrics)
    out = check_png(Path(args.work_dirs[0], 'curves.png') if args.out is None else args.out, '--out')
    with figure_in(out, figsize=(11, 4.2)) as figure:
        draw(runs, names, figure)
    for run_ in runs:
        last = [f'loss {run_["loss"][-1][1]:.4g} at iteration {run_["loss"][-1][0]}']
        last += [f'{name} {run_["metrics"][name][-1][1]:.3f}' for name in names if name in run_['metrics']]
        print(f'{run_["run"]}: {", ".join(last)}')
    print(f'curves in {out}')
    if args.json is not None:
        write_json(args.json, {'runs': runs, 'drawn': names, 'picture': str(out)}, indent=2)


if __name__ == '__main__':
    run(main)
