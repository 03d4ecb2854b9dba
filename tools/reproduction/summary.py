"""What cells have measured, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmslg.evaluation.functional.resampling import summarise
from reproduction.cells import Cell
from reproduction.table import Metric, Row, Table


@dataclass(frozen=True)
class Measured:
    """What was measured of a row.

    Args:
        row: Of the table.
        figures: What each cell that is done has kept, by its seed.
        planned: How many cells there are.
        failures: What went wrong with others, by their names.
    """

    row: Row
    figures: dict[int, dict[str, Any]]
    planned: int
    failures: dict[str, str]

    def values(self, metric: Metric) -> dict[int, float]:
        """Return a metric by seed, in the table's unit."""
        found = {seed: metric.of(figures['metrics']) for seed, figures in self.figures.items()}
        return {seed: value for seed, value in found.items() if value is not None}

    def fact(self, *keys: str) -> list[Any]:
        """Return the different values that the cells have of a fact, such as ``'code', 'commit'``."""
        found = []
        for figures in self.figures.values():
            node: Any = figures
            for key in keys:
                node = node.get(key) if isinstance(node, dict) else None
            found += [] if node is None or node in found else [node]
        return found


def collected(table: Table, cells: list[Cell], failures: dict[str, str]) -> list[Measured]:
    """Return what is there of each measured row of a table, in its order."""
    found = []
    for row in table.measured:
        own = [cell for cell in cells if cell.row is row]
        found.append(
            Measured(
                row,
                {cell.seed: cell.figures() for cell in own if cell.done},
                len(own),
                {cell.name: failures[cell.name] for cell in own if cell.name in failures},
            )
        )
    return found


def format_measured(values: list[float], digits: int) -> str:
    """Write mean and deviation as ``0.723 ± 0.012``."""
    mean, deviation = summarise(values)
    return f'{mean:.{digits}f}' + ('' if deviation is None else f' ± {deviation:.{digits}f}')


def in_groups(failures: dict[str, str]) -> list[str]:
    """Return a line for each reason why cells were not run to their end, with their names."""
    reasons = dict.fromkeys(failures.values())
    return [
        f'{", ".join(name for name in failures if failures[name] == reason)}: {reason}' for reason in reasons
    ]
