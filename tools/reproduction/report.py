"""A table as Markdown: what papers report and what was measured here, in columns of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmslg.evaluation.functional.protocol import markdown_table
from reproduction.evidence import Evidence, format_difference
from reproduction.summary import Measured, format_measured, in_groups
from reproduction.table import Metric, Row, Table

NOT_RUN = 'not run'
NONE = '–'


def write_report(
    table: Table,
    measured: list[Measured],
    evidence: Evidence,
    pictures: Mapping[str, Path],
    falls: Mapping[str, str],
) -> str:
    """Return the whole page.

    Args:
        table: Its rows are printed in order.
        measured: What is there of those that are measured here.
        evidence: What is known beyond their figures.
        pictures: Files in the folder of the page by their titles; that of the table has none.
        falls: By how much the focus falls in all between validations, by the names of rows.
    """
    parts = [
        f'# {table.title}',
        f'*Protocol: {table.protocol}*',
        _how_measured(measured),
        markdown_table(*_main(table, {one.row.config: one for one in measured})),
        _legend(table, measured),
        *_differences(table, measured, evidence),
        *_conditions(table, measured, evidence),
        *_smoothness(table, falls),
        *(
            f'{f"## {title}" if title else ""}\n\n![{title or table.title}]({path.name})'
            for title, path in pictures.items()
        ),
    ]
    return '\n\n'.join(part.strip() for part in parts if part) + '\n'


def _main(table: Table, found: Mapping[str | None, Measured]) -> tuple[list[str], list[list[str]]]:
    reported = [metric for metric in table.metrics if any(metric.name in row.reported for row in table.rows)]
    with_data = any(row.data for row in table.rows)
    with_sizes = any(row.trainable for row in table.rows)
    head, rows = ['', *(['data'] if with_data else [])], []
    for metric in table.metrics:
        head += [f'{metric.name}, paper-reported'] if metric in reported else []
        head += [f'{metric.name}, measured']
    head += ['trainable M, paper-reported'] if with_sizes else []
    head += ['trainable M, measured']
    for row in table.rows:
        one = found.get(row.config) if row.config else None
        line = [f'{row.name} †' if row.self_reported else row.name, *([row.data] if with_data else [])]
        for metric in table.metrics:
            value = row.reported.get(metric.name)
            line += [NONE if value is None else f'{value:.{metric.digits}f}'] if metric in reported else []
            line += [measured_text(one, metric)]
        if with_sizes:
            line.append(NONE if row.trainable is None else f'{row.trainable:g}')
        line.append(', '.join(f'{number / 1e6:.2f}' for number in one.fact('trainable')) if one else '')
        rows.append(line)
    return head, rows


def measured_text(one: Measured | None, metric: Metric) -> str:
    """Return what was measured of a metric: mean and deviation, of how many seeds, or why there is none."""
    if one is None:
        return ''  # a row that is cited alone
    values = list(one.values(metric).values())
    if values:
        part = '' if len(values) == one.planned else f' ({len(values)} of {one.planned} seeds)'
        return format_measured(values, metric.digits) + part
    if one.figures:
        return 'not logged'
    return 'failed' if any('exit code' in text for text in one.failures.values()) else NOT_RUN


def _how_measured(measured: list[Measured]) -> str:
    """Say with what the measured figures were obtained."""
    done = [one for one in measured if one.figures]
    if not done:
        return 'Nothing was measured yet.'

    def facts(*keys: str) -> list:
        return list(dict.fromkeys(value for one in done for value in one.fact(*keys)))

    seeds = sorted({seed for one in done for seed in one.figures})
    commits = [commit[:7] for commit in facts('code', 'commit')]
    text = f'seed {seeds[0]}'
    if len(seeds) > 1:
        text = f'mean ± standard deviation over seeds {", ".join(map(str, seeds))}'
    parts = [text]
    parts += [f'on {", ".join(facts("device", "name"))}'] if facts('device', 'name') else []
    threads = ', '.join(map(str, facts('device', 'threads')))
    parts += [f'torch threads: {threads}'] if threads else []
    dirty = ' with changes' if any(facts('code', 'changed')) else ''
    parts += [f'commit {", ".join(commits)}{dirty}'] if commits else []
    lines = [f'Measured: {"; ".join(parts)}.']
    protocols = dict.fromkeys(line for one in done for found in one.fact('protocols') for line in found)
    return ' '.join([*lines, *(f'Logged as: {protocol}.' for protocol in protocols)])


def _legend(table: Table, measured: list[Measured]) -> str:
    lower = [metric.name for metric in table.metrics if metric.lower_is_better]
    lines = [f'Lower is better: {", ".join(lower)}.'] if lower else []
    if any(row.self_reported for row in table.rows):
        lines.append('† reported by its authors alone, under a protocol that was not compared with this one.')
    if any(row.reported for row in table.rows):
        lines.append(f'{NONE}: not known here. Paper-reported figures were copied, and not reproduced.')
    if any(not row.config for row in table.rows):
        lines.append('Rows with an empty measured column are cited; this table does not measure them.')
    lines += table.notes
    lines += [f'{row.name}: {row.note}' for row in table.rows if row.note]
    lines += in_groups({name: text for one in measured for name, text in one.failures.items()})
    sources: dict[str, list[Row]] = {}
    for row in table.rows:
        if row.source:
            sources.setdefault(row.source, []).append(row)
    for source, rows in sources.items():
        lines.append(f'{", ".join(dict.fromkeys(row.name for row in rows))}: figures of {source}.')
    return '\n'.join(f'- {line}' for line in lines)


def _differences(table: Table, measured: list[Measured], evidence: Evidence) -> list[str]:
    """Return the section of differences to the base; nothing if there are none."""
    found = evidence.differences
    strangers = [one.row.name for one in measured if one.row.config in evidence.strangers]
    note = f'Not compared, since they were tested on other annotations: {", ".join(strangers)}.'
    notes = [note] if strangers else []
    if not found:
        return notes
    base = next(row.name for row in table.rows if row.config == table.base)
    metrics = [metric for metric in table.metrics if any(metric.name in row for row in found.values())]
    rows = [
        [one.row.name, *(format_difference(found[one.row.config][m.name], m.digits) for m in metrics)]
        for one in measured
        if one.row.config in found
    ]
    text = (
        f'Row minus "{base}", paired. In brackets 95 % intervals: by Student\'s t over the seeds that both '
        'have, and by the bootstrap over images, the same images in both. Bold: zero lies in neither.'
    )
    head = ['', *(metric.name for metric in metrics)]
    return [f'## Differences to "{base}"', text, markdown_table(head, rows), *notes]


def _conditions(table: Table, measured: list[Measured], evidence: Evidence) -> list[str]:
    """Return the section of the focus by condition; nothing if there are none."""
    if not evidence.groups:
        return []
    digits = next(metric.digits for metric in table.metrics if metric.name == table.focus)
    groups = evidence.sizes
    head = ['', *(f'{g.replace("=", " ")} ({" or ".join(map(str, groups[g]))})' for g in groups)]

    def table_of(found: Mapping[str, Mapping[str, Any]], write: Callable[[Any, int], str]) -> str:
        rows = []
        for row in (one.row for one in measured):
            values = found.get(row.config)
            if values:
                texts = [write(values[group], digits) if group in values else NONE for group in groups]
                rows.append([row.name, *texts])
        return markdown_table(head, rows)

    page = [f'## {table.focus} by condition', 'In brackets the number of images.']
    page.append(table_of(evidence.groups, format_measured))
    if evidence.by_condition:
        page.append('Differences to the same base, with the same intervals:')
        page.append(table_of(evidence.by_condition, format_difference))
    return page


def _smoothness(table: Table, falls: Mapping[str, str]) -> list[str]:
    """Return the section of how smoothly trainings went; nothing if none was drawn."""
    if not falls:
        return []
    text = (
        f'By how much {table.focus} falls in all from one validation to the next; 0 of one that only rises.'
    )
    return [
        '## How smoothly it trains',
        text,
        markdown_table(['', 'total fall'], [list(row) for row in falls.items()]),
    ]
