"""Make a table of figures: say what is missing, train and test what is not done, collect what is there.

TABLE is one that comes with the project (see --help), a table of your own (YAML), or configs to be compared.
It may be stopped at any moment and started again: nothing that is done is done twice.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import re
import sys
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

from mmslg.errors import InputError
from mmslg.utils.cli import parse_positive, run
from mmslg.utils.io import check_folder, check_writable, try_folder
from reproduction.cells import Cell, Settings, plan
from reproduction.collect import collect
from reproduction.dry_run import script
from reproduction.machine import gpu_slots
from reproduction.missing import what_is_missing
from reproduction.running import prepare, run_cells
from reproduction.summary import in_groups
from reproduction.table import TABLES, Table, read_table, table_names, table_of_configs


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'table', nargs='+', metavar='TABLE', help=f'{", ".join(table_names())}, a YAML file, or configs'
    )
    parser.add_argument('--data-root', default='data', help='folder of the datasets [data]')
    parser.add_argument(
        '--work-dir',
        default='work_dirs/reproduce',
        help='folder of the cells and the table [work_dirs/reproduce]',
    )
    parser.add_argument(
        '--out', metavar='MD', help='the table; a .png and a .json go beside it [WORK_DIR/TABLE.md]'
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='seeds [0 1 2]')
    parser.add_argument(
        '--gpus',
        type=parse_positive,
        default=1,
        help="processes of a training, which share the recipe's batch [1]",
    )
    parser.add_argument(
        '--jobs', type=parse_positive, default=1, help='cells at once, each with its share of the cores [1]'
    )
    parser.add_argument(
        '--only', nargs='+', metavar='CELL', help='these alone: CONFIG or CONFIG/seed_N, by name'
    )
    parser.add_argument(
        '--cell', type=int, metavar='N', help='the cell of this number alone: a Slurm array index'
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='print the commands as a script, and run nothing'
    )
    parser.add_argument('--report', action='store_true', help='collect what is there, and run nothing')
    parser.add_argument('--count', action='store_true', help='print the number of cells, and run nothing')
    parser.add_argument(
        '--metrics', nargs='+', default=['bbox_mAP', 'bbox_mAP_50'], help='ends of metric names, for configs'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='settings for all of the configs'
    )
    return parser.parse_args()


def find_table(words: list[str], metrics: list[str]) -> Table:
    """Return the table that the command line names.

    Raises:
        InputError: There is none of this name.
    """
    if all(word.endswith('.py') for word in words):
        return table_of_configs(words, metrics)
    if len(words) > 1:
        raise InputError(f'wanted one table, or configs that end in .py, got {" ".join(words)}')
    if words[0].endswith(('.yaml', '.yml')):
        return read_table(Path(words[0]))
    if words[0] not in table_names():
        similar = difflib.get_close_matches(words[0], table_names(), 1)
        advice = f'did you mean {similar[0]}?' if similar else f'there are {", ".join(table_names())}'
        raise InputError(f'{words[0]}: no such table; {advice}')
    return read_table(TABLES / f'{words[0]}.yaml')


def choose(cells: list[Cell], only: list[str] | None, number: int | None) -> list[Cell]:
    """Return the cells that are to be run.

    Raises:
        InputError: There is none of this name or number.
    """
    if number is not None and not 0 <= number < len(cells):
        raise InputError(f'--cell {number}: the table has {len(cells)} cells, numbered from 0')
    known = {cell.name for cell in cells} | {cell.name.split('/')[0] for cell in cells}
    for name in only or []:
        if name not in known:
            similar = difflib.get_close_matches(name, known, 1)
            advice = f'did you mean {similar[0]}?' if similar else f'there are {", ".join(sorted(known))}'
            raise InputError(f'--only {name}: no such cell; {advice}')
    chosen = [cell for cell in cells if number is None or cell.number == number]
    return [cell for cell in chosen if not only or {cell.name, cell.name.split('/')[0]} & set(only)]


def main() -> int:
    """Plan, run, collect."""
    args = parse_args()
    table = find_table(args.table, args.metrics)
    for option, path in (('--work-dir', args.work_dir), ('--data-root', args.data_root)):
        check_folder(path, option)
        if re.search(r"""[][(),{}'"\s]""", path):  # a setting KEY=VALUE would lose them, or be a list
            raise InputError(f'{option} {path}: wanted a path without blanks, quotes, commas and brackets')
    args.data_root = os.path.normpath(args.data_root)
    out = Path(args.work_dir, f'{table.name}.md') if args.out is None else Path(args.out)
    if out.suffix != '.md':
        raise InputError(f'--out {out}: wanted a name that ends in .md')
    for path in (out, out.with_suffix('.png'), out.with_suffix('.json')):
        check_writable(path)
    settings = Settings(
        str(Path(args.work_dir, table.name)) if table.options else args.work_dir,
        args.data_root,
        tuple(args.seeds),
        args.gpus,
        args.jobs,
        (*table.options, *args.cfg_options),
    )
    if args.cfg_options:
        note = f'Overridden in every config, whatever the protocol says: {" ".join(args.cfg_options)}.'
        table = dataclasses.replace(table, notes=[*table.notes, note])
    cells = plan(table, settings)
    chosen = choose(cells, args.only, args.cell)
    if args.count:
        for cell in chosen:  # what no cell could be run with is refused before jobs are submitted
            cell.options  # noqa: B018
        print(len(cells))
        return 0
    if args.dry_run:
        print(script(table, chosen, settings), end='')
        return 0
    try_folder(args.work_dir)
    failures = {}
    slots = [] if args.report else gpu_slots(args.gpus, args.jobs)
    if not args.report:
        prepare(table, settings)
        missing = what_is_missing(table, chosen, settings)
        if any(line.startswith('# missing') for line in missing):
            print('\n'.join(missing), flush=True)
    for cell in cells:
        cell.check()
    try:
        if not args.report:
            failures = run_cells(chosen, args.jobs, slots, wait=args.cell is None)
    finally:
        done = sum(cell.done for cell in cells)
        if args.report or args.cell is None or done == len(cells):
            print(collect(table, cells, failures, out), flush=True)
            if args.report and not done:
                print('the same command without --report runs it', flush=True)
        else:  # the jobs of an array would compare the same rows again and again
            print(f'{done} of {len(cells)} cells are done; --report collects them', flush=True)
    for line in in_groups(failures):
        print(f'error: {line}', file=sys.stderr)
    return 1 if failures else 0


if __name__ == '__main__':
    run(main)
