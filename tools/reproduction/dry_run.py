"""What would be run, as a script."""

from __future__ import annotations

import shlex

from reproduction.cells import Cell, Settings
from reproduction.missing import what_is_missing
from reproduction.table import Table

NOT_TAKEN = (
    '# reproduce.py refuses cells that these commands have begun, and makes no table of them: '
    'for a table, run it without --dry-run'
)
"""It takes the folders that it claimed before; nothing says with which arguments these were filled."""


def script(table: Table, cells: list[Cell], settings: Settings) -> str:
    """Return shell lines that make what is missing, and then run the cells that are not done.

    What is said about them stands in comments.
    """
    states = [cell.state for cell in cells]
    counts = ', '.join(f'{states.count(state)} {state}' for state in dict.fromkeys(states))
    lines = [f'# {table.title}, cells: {counts}', NOT_TAKEN, *what_is_missing(table, cells, settings)]
    for cell in cells:
        lines.append(f'# cell {cell.number}, {cell.name}: {cell.state}')
        if not cell.done:
            prefix = ''.join(f'{name}={shlex.quote(value)} ' for name, value in cell.environment().items())
            lines += [prefix + shlex.join(words) for words in cell.commands().values()]
    return '\n'.join(lines) + '\n'
