"""A table as a picture: what was measured of each row, and what papers report of it."""

from __future__ import annotations

import textwrap
from pathlib import Path

from matplotlib.axes import Axes

from mmslg.evaluation.functional.resampling import summarise
from mmslg.visualization.figures import figure_in
from mmslg.visualization.palette import CURVES
from reproduction.report import measured_text
from reproduction.summary import Measured
from reproduction.table import Metric, Row, Table

PANELS = 3
"""Metrics that are drawn at most, the first of the table."""


def has_figures(table: Table, measured: list[Measured]) -> bool:
    """Whether there is anything to draw: a figure of a paper or a measured one."""
    metrics = table.metrics[:PANELS]
    reported = any(metric.name in row.reported for row in table.rows for metric in metrics)
    return reported or any(one.values(metric) for one in measured for metric in metrics)


def draw_table(table: Table, measured: list[Measured], path: Path) -> None:
    """Draw a panel for each of the first metrics: a row a line, papers hollow, measured filled."""
    found = {one.row.config: one for one in measured}
    metrics = table.metrics[:PANELS]
    height = 1.8 + 0.32 * len(table.rows)
    with figure_in(path, figsize=(3.2 + 3.4 * len(metrics), height)) as figure:
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, metric in zip(panels, metrics):
            _draw_panel(axes, metric, table.rows, found)
        names = [
            f'{row.name}{" †" if row.self_reported else ""}{f", {row.data}" if row.data else ""}'
            for row in table.rows
        ]
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        width = int(18 * (3.2 + 3.4 * len(metrics)))
        figure.suptitle(table.title, fontsize=12)
        figure.supxlabel(textwrap.fill(f'Protocol: {table.protocol}', width), fontsize=7)
        handles, labels = panels[0].get_legend_handles_labels()
        by_label = dict(zip(labels, handles))
        for axes in panels[1:]:
            by_label |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels())}
        if by_label:
            figure.legend(
                by_label.values(), by_label, loc='outside upper right', ncols=3, fontsize=8, frameon=False
            )


def _draw_panel(axes: Axes, metric: Metric, rows: list[Row], found: dict[str | None, Measured]) -> None:
    blank = []
    for at, row in enumerate(rows):
        one = found.get(row.config) if row.config else None
        if metric.name in row.reported:
            axes.plot(
                row.reported[metric.name],
                at,
                'D',
                color='#777777',
                markerfacecolor='none',
                label='paper-reported',
            )
        values = list(one.values(metric).values()) if one else []
        if values:
            mean, deviation = summarise(values)
            axes.plot(
                values, [at] * len(values), '.', color=CURVES[0], alpha=0.45, label='measured, each seed'
            )
            axes.errorbar(
                mean,
                at,
                xerr=deviation or 0,
                fmt='o',
                color=CURVES[0],
                capsize=3,
                label='measured, mean ± deviation',
            )
        elif one:
            blank.append((at, measured_text(one, metric)))
    for at, text in blank:
        axes.text(
            1.01,
            at,
            text,
            transform=axes.get_yaxis_transform(),
            ha='left',
            va='center',
            color='grey',
            fontsize=7,
        )
    axes.set_title(f'{metric.name}{" (lower is better)" if metric.lower_is_better else ""}', fontsize=10)
    axes.locator_params(axis='x', nbins=4)
    axes.grid(axis='x', alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)
    if not axes.lines:
        axes.set_xticks([])
