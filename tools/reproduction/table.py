"""A table of figures as data: its rows, what papers report of them, and how each is measured here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mmslg.errors import InputError
from mmslg.utils.io import read_text

TABLES = Path(__file__).parent / 'tables'
PREPARATIONS = Path(__file__).parent / 'preparations.yaml'


@dataclass(frozen=True)
class Metric:
    """A figure of a table.

    Args:
        name: As it is printed.
        keys: Names that tools/test.py logs it by, or their ends; the first that is there counts.
        scale: What the logged figure is multiplied by.
        digits: Behind the point.
        lower_is_better: Whether it is an error rate.
    """

    name: str
    keys: list[str]
    scale: float = 1.0
    digits: int = 3
    lower_is_better: bool = False

    def of(self, figures: dict[str, float]) -> float | None:
        """Return the figure in the table's unit, None if it was not logged."""
        for wanted in self.keys:
            for key, value in figures.items():
                if key == wanted or key.endswith(f'/{wanted}'):
                    return value * self.scale
        return None


@dataclass(frozen=True)
class Row:
    """A row: a config that is trained and tested here, a published system, or both.

    Args:
        name: As it is printed.
        config: What is trained and tested; None for a system that is only cited.
        data: The dataset, where a table has several.
        reported: Figures that a paper reports, by the names of the metrics.
        trainable: Trainable parameters that a paper reports, in millions.
        source: Where the reported figures stand.
        self_reported: Reported by the authors of the system alone, under a protocol that nobody compared.
        start: Config of the cell whose checkpoint the training starts from (``load_from``).
        checkpoint_of: Config of the cell whose checkpoint is tested; nothing is trained.
        note: A remark printed below the table.
    """

    name: str
    config: str | None = None
    data: str = ''
    reported: dict[str, float] = field(default_factory=dict)
    trainable: float | None = None
    source: str = ''
    self_reported: bool = False
    start: str | None = None
    checkpoint_of: str | None = None
    note: str = ''


@dataclass(frozen=True)
class Preparation:
    """How files that the cells need come to be.

    Args:
        makes: The files, below the data root.
        command: What makes them; ``{root}`` is the data root.
        run: Whether it is run, rather than named as missing: what takes long or needs a download is named.
        always: Whether it is run although the files are there: it checks that they are the right ones.
    """

    makes: list[str]
    command: str
    run: bool = False
    always: bool = False


@dataclass(frozen=True)
class Analysis:
    """A tool that is run on every checkpoint after its test.

    Args:
        tool: It takes config, checkpoint, ``--out FOLDER`` and ``--cfg-options``.
        figures: The JSON file that it writes into that folder; its numbers are figures of the cell, named by
            the tool and their way in the file: ``robustness/summary/clean``.
    """

    tool: str
    figures: str

    @property
    def name(self) -> str:
        """Return the name of its folder."""
        return Path(self.tool).stem


@dataclass(frozen=True)
class Table:
    """A table of figures.

    Args:
        name: Of its files.
        title: A line.
        protocol: What the figures stand for, in a sentence or two.
        metrics: Its figures.
        rows: In order.
        prepare: How data, captions and weights come to be, in order; in the file, steps or names of groups of
            ``preparations.yaml``.
        options: KEY=VALUE words that override every config; such cells have a folder of the table's own.
        analysis: What is run after the tests; None runs nothing.
        base: Config that the others are compared with, seed by seed; None compares nothing.
        focus: Name of the metric that is also given by condition, over the training and against size.
        curves: Configs whose way over the training is drawn, for the focus.
        notes: Printed below the table.
    """

    name: str
    title: str
    protocol: str
    metrics: list[Metric]
    rows: list[Row]
    prepare: list[Preparation] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    analysis: Analysis | None = None
    base: str | None = None
    focus: str | None = None
    curves: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def measured(self) -> list[Row]:
        """The rows that are measured here."""
        return [row for row in self.rows if row.config]


def table_names() -> list[str]:
    """Return the names of the tables that come with the project."""
    return sorted(path.stem for path in TABLES.glob('*.yaml'))


def read_table(path: Path) -> Table:
    """Read a table.

    Raises:
        InputError: It is not YAML, an entry is unknown or missing, or a row has no way to a figure.
    """
    data = _read_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f'{path}: wanted title, protocol, metrics and rows, got {data!r:.60}')
    parts = dict(data, name=path.stem)
    if isinstance(parts.get('prepare'), list):
        parts['prepare'] = _steps(parts['prepare'], f'{path}: prepare')
    for key, kind in (('metrics', Metric), ('rows', Row), ('prepare', Preparation)):
        entries = parts.get(key, [])
        if not isinstance(entries, list):
            raise InputError(f'{path}: {key}: wanted a list, got {entries!r:.60}')
        parts[key] = [_made(kind, entry, f'{path}: {key}, number {i}') for i, entry in enumerate(entries, 1)]
    if parts.get('analysis') is not None:
        parts['analysis'] = _made(Analysis, parts['analysis'], f'{path}: analysis')
    table = _made(Table, parts, str(path))
    _check(table, path)
    return table


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(f'{path}: not valid YAML: {" ".join(str(error).split())}') from None


def _steps(entries: list, where: str) -> list:
    """Put the steps of a group in the place of its name."""
    groups = _read_yaml(PREPARATIONS)
    steps = []
    for entry in entries:
        if isinstance(entry, str) and entry not in groups:
            raise InputError(f'{where}: there is no {entry}; wanted {", ".join(groups)}, or a step')
        steps += groups[entry] if isinstance(entry, str) else [entry]
    return steps


def table_of_configs(configs: list[str], metrics: list[str]) -> Table:
    """Return the table that compares configs of one's own; the first is the base.

    Args:
        configs: Config files.
        metrics: Ends of metric names.
    """
    return Table(
        name='comparison',
        title='Comparison of configs',
        protocol='what tools/test.py prints for each config',
        metrics=[Metric(name, [name]) for name in metrics],
        rows=[Row(Path(config).stem, config) for config in configs],
        base=configs[0],
    )


def _made(kind: type, data: Any, where: str) -> Any:
    """Build a dataclass out of what was read.

    Raises:
        InputError: An entry is unknown, missing, or of another type.
    """
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}
    if not isinstance(data, dict):
        raise InputError(f'{where}: wanted {", ".join(fields)}, got {data!r:.60}')
    unknown = [key for key in data if key not in fields]
    if unknown:
        raise InputError(f'{where}: there is no {unknown[0]}; wanted {", ".join(fields)}')
    for name, entry in fields.items():
        optional = (
            entry.default is not dataclasses.MISSING or entry.default_factory is not dataclasses.MISSING
        )
        if name not in data and not optional:
            raise InputError(f'{where}: {name} is missing')
        if name in data and not _fits(data[name], str(entry.type)):
            raise InputError(f'{where}: {name}: wanted {entry.type}, got {data[name]!r:.60}')
    return kind(**data)


def _fits(value: Any, kind: str) -> bool:
    if value is None:
        return 'None' in kind
    wanted = {'str': str, 'float': (int, float), 'int': int, 'bool': bool, 'list': list, 'dict': dict}
    base = kind.split('[')[0].split(' ')[0]
    if base not in wanted:
        return True  # a part that was built before
    right = isinstance(value, wanted[base]) and (base == 'bool' or not isinstance(value, bool))
    inner = {'list[str]': str, 'dict[str, float]': (int, float)}.get(kind)
    entries = value.values() if isinstance(value, dict) else value
    return right and (inner is None or all(isinstance(entry, inner) for entry in entries))


def _check(table: Table, path: Path) -> None:
    names = {metric.name for metric in table.metrics}
    for row in table.rows:
        unknown = set(row.reported) - names
        if unknown:
            raise InputError(f'{path}: row {row.name}: reported {min(unknown)} is none of the metrics')
        if (row.reported or row.trainable is not None) and not row.source:
            raise InputError(f'{path}: row {row.name}: wanted the source of what is reported')
    configs = [row.config for row in table.measured]
    if len(set(configs)) < len(configs):
        raise InputError(f'{path}: wanted a config in one row at most')
    if table.base is not None and table.base not in configs:
        raise InputError(f'{path}: base {table.base} is the config of no row')
    if table.focus is not None and table.focus not in names:
        raise InputError(f'{path}: focus {table.focus} is none of the metrics')
    strangers = [config for config in table.curves if config not in configs]
    if strangers:
        raise InputError(f'{path}: curves {strangers[0]} is the config of no row')
    if not table.metrics or not configs:
        raise InputError(f'{path}: wanted a metric and a row with a config, there is nothing to measure')
