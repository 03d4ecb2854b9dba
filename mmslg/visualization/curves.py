"""Pictures of trainings: curves of runs, of configs over their seeds, and accuracy against size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmslg.visualization.palette import CURVES, STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABEL_GAP = 0.045
"""Least distance of two labels at the same size, as a share of the height of the picture."""


def draw_runs(runs: Sequence[Mapping[str, Any]], names: Sequence[str], figure: Figure) -> None:
    """Draw loss and validation of runs, each a line, into an empty figure.

    Args:
        runs: What :func:`mmslg.apis.training_logs.read_run` returned.
        names: Metrics to draw.
        figure: To draw in.
    """
    left, right = figure.subplots(1, 2)
    several = len(runs) > 1
    for i, run in enumerate(runs):
        colour = CURVES[i % len(CURVES)]
        title = Path(run['work_dir']).name or run['work_dir']
        left.plot(*zip(*run['loss']), color=colour, linewidth=1.8, label=title)
        for j, name in enumerate(n for n in names if n in run['metrics']):
            look = (
                {'color': colour, 'linestyle': STYLES[j % len(STYLES)]}
                if several
                else {'color': CURVES[j % 7]}
            )
            points = run['metrics'][name]
            label = f'{title}: {name}' if several else name
            label = f'{label}, last {points[-1][1]:.3f}'
            right.plot(*zip(*points), marker='o', markersize=4, linewidth=1.8, label=label, **look)
    _dress(left, right, all(run['by_epoch'] for run in runs), 'metric')
    left.legend(frameon=False)
    if right.lines:
        right.legend(frameon=False)


def over_seeds(points: Sequence[Sequence[tuple[float, float]]]) -> np.ndarray:
    """Return step, mean and deviation (n - 1; 0 of one seed) at the N steps that all curves have, (N, 3)."""
    steps = sorted(set.intersection(*({step for step, _ in curve} for curve in points)))
    values = np.array([[dict(curve)[step] for step in steps] for curve in points])
    deviation = values.std(0, ddof=1) if len(values) > 1 else np.zeros(len(steps))
    return np.stack([np.array(steps, float), values.mean(0), deviation], 1)


def total_fall(points: Sequence[tuple[float, float]]) -> float:
    """Return by how much a curve falls in all from one validation to the next; 0 of one that only rises."""
    values = np.array([value for _, value in sorted(points)])
    return float(np.maximum(values[:-1] - values[1:], 0).sum())


def draw_convergence(figure: Figure, cells: Mapping[str, Sequence[Mapping[str, Any]]], metric: str) -> None:
    """Draw configs over their seeds: mean of loss and of a metric, and its deviation as a band.

    Args:
        figure: Empty.
        cells: By the name of the config, one run a seed, as ``read_run`` returns them.
        metric: Name of the metric; a config without it has a loss alone.
    """
    left, right = figure.subplots(1, 2)
    for i, (name, runs) in enumerate(cells.items()):
        look = dict(color=CURVES[i % len(CURVES)], linestyle=STYLES[i // len(CURVES) % len(STYLES)])
        steps, mean, _ = over_seeds([run['loss'] for run in runs]).T
        left.plot(steps, mean, linewidth=1.4, label=name, **look)
        curves = [run['metrics'][metric] for run in runs if metric in run['metrics']]
        if len(curves) < len(runs):
            continue
        steps, mean, deviation = over_seeds(curves).T
        label = f'{name}: {mean[-1]:.3f}' + (f' ± {deviation[-1]:.3f}' if len(runs) > 1 else '')
        right.plot(steps, mean, marker='o', markersize=3.5, linewidth=1.6, label=label, **look)
        right.fill_between(steps, mean - deviation, mean + deviation, color=look['color'], alpha=0.15, lw=0)
    by_epoch = all(run['by_epoch'] for runs in cells.values() for run in runs)
    seeds = sorted({len(runs) for runs in cells.values()})
    _dress(left, right, by_epoch, metric.rsplit('/', 1)[-1])
    number = f'{seeds[0]}' if len(seeds) == 1 else f'{seeds[0]}-{seeds[-1]}'
    right.set_title(f'Validation: mean and deviation over {number} seeds')
    handles, labels = right.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc='outside right center', frameon=False, fontsize=8)


def _dress(left: Axes, right: Axes, by_epoch: bool, metric: str) -> None:
    """Set titles, limits and grid of loss (left) and validation (right)."""
    left.set(title='Training loss', xlabel='iteration', ylabel='loss', xlim=(0, None), ylim=(0, None))
    right.set(title='Validation', ylabel=metric, xlim=(0, None))
    right.set_xlabel('epoch' if by_epoch else 'iteration')
    right.xaxis.get_major_locator().set_params(integer=True)
    if right.lines:
        values = [value for line in right.lines for value in line.get_ydata() if np.isfinite(value)]
        best = max(values, default=1)
        high = 1 if best > 0.6 else 1.6 * max(best, 0) + 0.02
        right.set_ylim(0, 1.05 * best if best > 1 else high)  # above 1 are per cent
    else:
        right.text(
            0.5, 0.5, 'no validation yet', ha='center', va='center', color='grey', transform=right.transAxes
        )
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)


def draw_sizes(
    figure: Figure, rows: Sequence[tuple[str, int, float, float | None]], metric: str = 'mAP'
) -> None:
    """Draw accuracy against trainable parameters.

    Args:
        figure: Empty.
        rows: Name, trainable parameters, mean and deviation (None: one seed) of each config.
        metric: What the mean is of.
    """
    axes = figure.subplots()
    for i, (_, number, mean, deviation) in enumerate(rows):
        axes.errorbar(
            number / 1e6,
            mean,
            yerr=deviation,
            fmt='o',
            color=CURVES[i % len(CURVES)],
            markersize=6,
            capsize=3,
        )
    low = min(mean - (deviation or 0) for *_, mean, deviation in rows)
    high = max(mean + (deviation or 0) for *_, mean, deviation in rows)
    margin = 0.08 * (high - low) + 0.005
    axes.set_ylim(low - margin, high + margin)
    axes.set_xscale('log')
    sizes = sorted({number for _, number, *_ in rows})
    axes.set_xlim(sizes[0] / 1.25e6, sizes[-1] / 0.4e6)
    # Sizes nearer than 15 % share a tick, or their figures would lie on one another.
    ticks = [size for i, size in enumerate(sizes) if i == 0 or size > 1.15 * sizes[i - 1]]
    axes.set_xticks([size / 1e6 for size in ticks], [f'{size / 1e6:.2f}' for size in ticks])
    axes.minorticks_off()
    for i, (row, (right, y)) in enumerate(zip(rows, _places(rows, axes))):
        name, number, mean, _ = row
        x, side, edge = (1.05, 'left', 0) if right else (1 / 1.05, 'right', 1)
        axes.annotate(
            name, (number / 1e6, mean), (number / 1e6 * x, y), va='center', ha=side, fontsize=8,
            color=CURVES[i % len(CURVES)],
            arrowprops=dict(arrowstyle='-', lw=0.5, color='grey', relpos=(edge, 0.5)),
        )  # fmt: skip
    axes.set(xlabel='trainable parameters, millions', ylabel=metric)
    axes.grid(alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)


def _places(rows: Sequence[tuple], axes: Axes) -> list[tuple[bool, float]]:
    """Return where the label of each row goes: whether to the right of its point, and the height.

    A label goes to the left where a point of a larger size would lie under it on the right; labels of one
    column do not overlap.
    """
    low, high = axes.get_ylim()
    gap, places = LABEL_GAP * (high - low), [(True, row[2]) for row in rows]
    columns: list[list[int]] = []
    for i in sorted(range(len(rows)), key=lambda i: rows[i][1]):
        near = columns and rows[i][1] < 1.5 * rows[columns[-1][0]][1]
        columns[-1].append(i) if near else columns.append([i])
    for column in columns:
        hidden = {
            i
            for i in column
            for j in column
            if rows[i][1] < rows[j][1] and abs(rows[i][2] - rows[j][2]) < gap + (rows[j][3] or 0)
        }
        for right in (True, False):
            side = [i for i in column if (i not in hidden) == right]
            for i, y in zip(side, _apart([rows[i][2] for i in side], gap, low, high)):
                places[i] = right, y
    return places


def _apart(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return heights within limits that are near the given ones and at least ``gap`` apart."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    placed: list[float] = []
    for i in order:
        placed.append(max(heights[i], placed[-1] + gap) if placed else heights[i])
    if not placed:
        return []
    shift = np.mean(heights) - np.mean(placed)
    shift = min(max(shift, low + gap / 2 - placed[0]), max(high - gap / 2 - placed[-1], low - placed[0]))
    result = list(heights)
    for i, y in zip(order, placed):
        result[i] = y + shift
    return result
