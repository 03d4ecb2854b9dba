"""Several detectors under the same corruptions, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmslg.errors import InputError
from mmslg.evaluation.functional.protocol import markdown_table
from mmslg.robustness.report import LOWER_IS_BETTER, figure_or_nan, written
from mmslg.utils.io import read_json
from mmslg.visualization.figures import figure_in
from mmslg.visualization.palette import CURVES

MARKERS = 'osD^vPX'


def read_summaries(
    folders: Sequence[Path], own: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Read what tests under corruption found, by the names of their configs.

    Args:
        folders: Each holds a ``robustness.json``.
        own: What this run has of ``metric``, ``protocol``, ``seed`` and ``moved``; all have to have the same,
            and what is not in it is the first one's.

    Raises:
        InputError: One is no such folder, or its figures do not compare with the others.
    """
    reports = []
    for folder in folders:
        path = folder / 'robustness.json'
        if not path.is_file():
            raise InputError(
                f'{folder}: no robustness.json there; wanted the --out of tools/analysis/robustness.py'
            )
        data = read_json(path)
        if not isinstance(data, dict) or not isinstance(data.get('summary'), dict):
            raise InputError(f'{path}: holds no summary; run the tool again, it tests nothing twice')
        reports.append((path, data))
    first = _compared(reports[0][1])
    for path, data in reports:
        for what, found in _compared(data).items():
            whose, wanted = ('this run', own[what]) if what in (own or {}) else ('the first', first[what])
            if found != wanted:
                name = what.replace('moved', 'moved image')
                raise InputError(
                    f'{path}: its {name} is {found!r}, {whose} has {wanted!r}: they do not compare'
                )
    names = [Path(data['config']).stem for _, data in reports]
    counts = Counter(names)
    names = [n if counts[n] == 1 else f'{n} ({p.parent})' for n, (p, _) in zip(names, reports)]
    return {name: data['summary'] for name, (_, data) in zip(names, reports)}


def _compared(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        'metric': data['summary'].get('metric'),
        **{what: data.get(what) for what in ('protocol', 'seed', 'moved')},
    }


def compare_table(summaries: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Return head and rows: mean and relative figure of each detector by corruption and set; NaN for none."""
    head = ['corruption']
    for name in summaries:
        head += [name, 'relative']
    rows = [['clean', *[cell for s in summaries.values() for cell in (figure_or_nan(s['clean']), 1.0)]]]
    for part, key in (('rows', 'mean'), ('mPC', 'value')):
        for what in dict.fromkeys(w for s in summaries.values() for w in s[part]):
            found = [s[part].get(what) or {} for s in summaries.values()]
            cells = [figure_or_nan(entry.get(which)) for entry in found for which in (key, 'relative')]
            rows.append([what, *cells])
    return head, rows


def compare_markdown(summaries: Mapping[str, Mapping[str, Any]], picture: str) -> str:
    """Return the comparison in Markdown."""
    head, rows = compare_table(summaries)
    metric = next(iter(summaries.values()))['metric']
    better = 'lower' if metric.startswith(LOWER_IS_BETTER) else 'higher'
    lines = ['# Detectors under corruption', '', f'`{metric}`, mean over severities; {better} is better.', '']
    lines.append(markdown_table(head, [[name, *written(values)] for name, *values in rows], numbers=True))
    return '\n'.join([*lines, '', f'![comparison]({picture})', ''])


def draw_comparison(path: Path, summaries: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw the mean figure of each detector under each corruption, with its clean figure as a line."""
    names = list(dict.fromkeys(n for s in summaries.values() for part in ('rows', 'mPC') for n in s[part]))
    with figure_in(path, figsize=(9, 1.6 + 0.27 * len(names))) as figure:
        axes = figure.subplots()
        for number, (name, summary) in enumerate(summaries.items()):
            means = {n: row['mean'] for n, row in summary['rows'].items()}
            means |= {n: entry['value'] for n, entry in summary['mPC'].items()}
            points = [(means[n], names.index(n)) for n in means if means[n] is not None]
            colour = CURVES[number % len(CURVES)]
            look = dict(color=colour, markersize=6, clip_on=False)  # whole markers at 0 as well
            clean = summary['clean']
            label = name if clean is None else f'{name}, clean {clean:.3f}'
            marker = MARKERS[number % len(MARKERS)]
            axes.plot(*(zip(*points) if points else ([], [])), marker, label=label, **look)
            if clean is not None:
                axes.axvline(clean, linestyle='--', linewidth=1, color=colour)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set(ylim=(len(names) - 0.5, -0.5), xlim=(0, None))
        axes.set_xlabel(f'{next(iter(summaries.values()))["metric"]}, mean over severities')
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
        figure.legend(loc='outside upper center', frameon=False, ncols=2, fontsize=9)
