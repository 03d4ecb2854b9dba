"""Figures under corruptions as tables and curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from mmslg.datasets.corruptions import SEVERITIES
from mmslg.errors import InputError
from mmslg.evaluation.functional.protocol import format_figures, markdown_table
from mmslg.robustness.cells import ALL, CAPTIONS, CLEAN, DELAY, EXTRA, PUBLISHED, Cell
from mmslg.visualization.figures import figure_in
from mmslg.visualization.palette import CURVES, STYLES

PREFERRED = ('coco/bbox_mAP', 'oriented/mAP_50', 'kaist/reasonable_all')
"""The figure that is shown unless another is named: the first that the evaluator gives."""
LOWER_IS_BETTER = ('kaist/',)
Results = Mapping[Cell, Mapping[str, Any]]

SETS = {
    **{
        f'mPC, {group}': [n for n in ALL if n.startswith(f'{group}/') and n not in EXTRA]
        for group in ('visible', 'infrared')
    },
    'mPC, either image': [n for n in ALL if n.split('/')[0] in ('visible', 'infrared') and n not in EXTRA],
    'mPC, misalignment': [n for n in ALL if n.startswith('pair/') and n != DELAY],
    **{
        f'mPC, {group}, the 15 common': [n for n in PUBLISHED if n.startswith(f'{group}/')]
        for group in ('visible', 'infrared')
    },
}
"""What mean performance under corruption is taken over: every one of these at every severity."""


def choose_metric(results: Results, wanted: str | None) -> str:
    """Return the figure to show.

    Raises:
        InputError: The evaluator does not give the one that is wanted.
    """
    known = list(results[Cell(CLEAN, 0)]['figures'])
    if wanted is None:
        return next((name for name in PREFERRED if name in known), known[0])
    if wanted not in known:
        raise InputError(f'--metric {wanted}: the evaluator gives {", ".join(known)}')
    return wanted


def summarize(results: Results, metric: str) -> dict[str, Any]:
    """Gather one figure of all cells.

    Returns:
        ``clean``, the figure without corruption; ``rows``, by corruption: ``values`` by severity, their
        ``mean`` where all severities were tested, ``relative`` to the clean figure, and ``overlap`` by
        severity where images are moved; ``mPC``, by set: the mean over its corruptions of their means
        (arXiv:1907.07484), and ``relative``, rPC. None stands for what was not tested.
    """
    clean = results[Cell(CLEAN, 0)]['figures'][metric]
    rows: dict[str, dict[str, Any]] = {}
    for name, corruption in ALL.items():
        cells = {s: results[Cell(name, s)] for s in (0, *SEVERITIES) if Cell(name, s) in results}
        if not cells:
            continue
        values = {severity: cell['figures'][metric] for severity, cell in cells.items()}
        mean = _mean([values.get(severity) for severity in corruption.severities])
        rows[name] = {'values': values, 'mean': mean, 'relative': _ratio(mean, clean)}
        if any(cell['overlap'] < 1 for cell in cells.values()):
            rows[name]['overlap'] = {severity: cell['overlap'] for severity, cell in cells.items()}
    sets = {}
    for name, members in SETS.items():
        means = [rows[member]['mean'] if member in rows else None for member in members]
        extra = [member for member in members if member in EXTRA]
        if extra and not any(member in rows for member in extra):
            continue
        if any(mean is not None for mean in means):
            mean = _mean(means)
            number = sum(mean is not None for mean in means)
            sets[name] = {
                'value': mean, 'relative': _ratio(mean, clean), 'tested': number, 'of': len(members),
            }  # fmt: skip
    return {'metric': metric, 'clean': clean, 'rows': rows, 'mPC': sets}


def _mean(values: Sequence[float | None]) -> float | None:
    return None if not values or None in values else fmean(values)


def _ratio(value: float | None, clean: float | None) -> float | None:
    return None if value is None or not clean else value / clean


def computed_with(results: Results) -> str:
    """Say in which precision and on which device the tests were computed."""
    ways = Counter(result['computed'] for result in results.values())
    if len(ways) == 1:
        return next(iter(ways))
    return f'not all alike: {"; ".join(f"{way} ({number} tests)" for way, number in ways.items())}'


HEAD = ('corruption', *map(str, SEVERITIES), 'mean', 'relative')


def table_rows(summary: Mapping[str, Any]) -> list[list[Any]]:
    """Return the table: a row for the clean pairs, one a corruption, one a set; NaN for what is not there."""
    rows = [['clean', *[float('nan')] * 5, figure_or_nan(summary['clean']), 1.0]]
    for name, row in summary['rows'].items():
        single = len(ALL[name].severities) == 1
        values = [float('nan') if single else figure_or_nan(row['values'].get(s)) for s in SEVERITIES]
        rows.append([name, *values, figure_or_nan(row['mean']), figure_or_nan(row['relative'])])
    for name, row in summary['mPC'].items():
        title = name if row['value'] is not None else f'{name} ({row["tested"]} of {row["of"]} tested)'
        rows.append([title, *[float('nan')] * 5, figure_or_nan(row['value']), figure_or_nan(row['relative'])])
    return rows


def figure_or_nan(value: float | None) -> float:
    """Return a figure, NaN for none, as tables take it."""
    return float('nan') if value is None else value


def written(values: Sequence[float]) -> list[str]:
    """Return figures as a report has them: three digits, nothing for NaN."""
    return ['' if value != value else f'{value:.3f}' for value in values]


def console_table(summary: Mapping[str, Any]) -> str:
    """Return the table for a terminal."""
    return format_figures(HEAD, table_rows(summary))


def markdown(
    summary: Mapping[str, Any], facts: Mapping[str, Any], skipped: Mapping[str, str], picture: str
) -> str:
    """Return the whole report in Markdown."""
    metric = summary['metric']
    lower = metric.startswith(LOWER_IS_BETTER)
    lines = ['# Under corruption', '']
    lines += [f'- {name}: {value}' for name, value in facts.items()]
    lines += [f'- figure: `{metric}`, {"lower" if lower else "higher"} is better', '']
    rows = [[f'`{name}`' if '/' in name else name, *written(values)] for name, *values in table_rows(summary)]
    lines += [markdown_table(HEAD, rows, numbers=True), '', _EXPLAINED, '', f'![curves]({picture})', '']
    done = []
    for name, row in summary['rows'].items():
        corruption = ALL[name]
        levels = ', '.join(filter(None, corruption.levels))
        done.append([f'`{name}`', f'{levels} {corruption.unit}', _overlaps(row.get('overlap'))])
    lines.append(markdown_table(['corruption', 'severities 1 to 5', 'overlap'], done))
    if skipped:
        lines += ['', 'Not tested:', '', *(f'- `{name}`: {why}' for name, why in skipped.items())]
    return '\n'.join(lines) + '\n'


def _overlaps(overlaps: Mapping[int, float] | None) -> str:
    if not overlaps:
        return ''
    return ', '.join(f'{overlaps[s]:.1%}' if s in overlaps else '-' for s in SEVERITIES)


_EXPLAINED = (
    'mean: over the five severities. mPC: mean performance under corruption, the mean over corruptions of '
    'these means; relative: to the clean figure, for mPC this is rPC (arXiv:1907.07484). Nothing is averaged '
    'where a severity or a corruption is missing.'
)


def draw_curves(path: Path, summary: Mapping[str, Any]) -> None:
    """Draw the figure over severity, a panel a group, and as bars where an image is missing."""
    clean, rows = summary['clean'], summary['rows']
    top = max([clean or 0, *(v or 0 for row in rows.values() for v in row['values'].values())])
    with figure_in(path, figsize=(14, 9)) as figure:
        panels = figure.subplots(2, 2).ravel()
        for axes, group in zip(panels, ('visible', 'infrared', 'pair')):
            _curves(axes, group, clean, {n: r for n, r in rows.items() if n.startswith(f'{group}/')})
            axes.set(ylabel=summary['metric'], ylim=(0, 1.05 * top or 1))
        singles = {n: r['mean'] for n, r in rows.items() if n.startswith('missing/') or n in CAPTIONS}
        _bars(panels[3], clean, singles)
        panels[3].set(xlabel=summary['metric'], xlim=(0, 1.18 * top or 1))
        for axes in panels:
            axes.grid(alpha=0.3)
            axes.spines[['top', 'right']].set_visible(False)


_TITLES = {
    'visible': 'The visible image is corrupted',
    'infrared': 'The infrared image is corrupted',
    'pair': 'One image is moved against the other',
}


def _curves(axes: Any, group: str, clean: float | None, rows: Mapping[str, Mapping[str, Any]]) -> None:
    for number, (name, row) in enumerate(rows.items()):
        values = {0: clean, **row['values']}
        points = [(s, v) for s, v in sorted(values.items()) if v is not None]
        look = dict(color=CURVES[number % len(CURVES)], linestyle=STYLES[number // len(CURVES) % len(STYLES)])
        label = name.split('/')[1].replace('_', ' ')
        if group == 'pair' and len(ALL[name].steps) < 2:
            levels = ALL[name].levels
            label += f' ({levels[0]} to {levels[-1]} {ALL[name].unit})'
        axes.plot(*zip(*points), marker='o', markersize=4, linewidth=1.8, label=label, **look)
    axes.set(title=_TITLES[group], xlabel='severity', xlim=(-0.1, 5.1))
    if rows:
        axes.legend(
            frameon=False, fontsize=8, ncols=1 if group == 'pair' else 2, loc='best', handlelength=3.5
        )
    else:
        _say_nothing(axes)


def _bars(axes: Any, clean: float | None, values: Mapping[str, float | None]) -> None:
    known = {name: value for name, value in values.items() if value is not None}
    axes.set_title('An image is missing, or what the model is told')
    if not known:
        return _say_nothing(axes)
    names = [name.replace('missing/', '').replace('_', ' as ').replace('/', ': ') for name in known]
    colours = [
        CURVES[5] if 'visible' in name else CURVES[1] if 'infrared' in name else CURVES[2] for name in names
    ]
    axes.barh(names, known.values(), color=colours, height=0.65)
    for y, value in enumerate(known.values()):  # at the edge: behind its bar might be the clean figure's line
        place = axes.get_yaxis_transform()
        axes.text(0.99, y, f'{value:.3f}', ha='right', va='center', fontsize=8, transform=place)
    axes.set_ylim(len(names) - 0.2, -0.6)
    if clean is not None:
        axes.axvline(clean, color='grey', linestyle='--', linewidth=1.2)
        axes.text(clean, len(names) - 0.25, f' clean {clean:.3f}', va='bottom', fontsize=8, color='grey')


def _say_nothing(axes: Any) -> None:
    axes.text(0.5, 0.5, 'not tested', ha='center', va='center', color='grey', transform=axes.transAxes)
