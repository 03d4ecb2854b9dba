"""What is there of a table, written: Markdown, pictures and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from mmslg.apis.training_logs import read_run
from mmslg.evaluation.functional.resampling import Difference, summarise
from mmslg.utils.io import atomic_path, write_json
from mmslg.visualization.curves import draw_convergence, draw_sizes, total_fall
from mmslg.visualization.figures import figure_in
from reproduction.cells import Cell
from reproduction.evidence import Evidence, gather
from reproduction.picture import draw_table, has_figures
from reproduction.report import write_report
from reproduction.running import locked
from reproduction.summary import Measured, collected, format_measured
from reproduction.table import Metric, Table


def collect(table: Table, cells: list[Cell], failures: dict[str, str], out: Path) -> str:
    """Write the table with what its cells have measured so far.

    Args:
        table: The table.
        cells: All of its cells.
        failures: Why some were not run to their end.
        out: The Markdown file; pictures (.png) and the figures (.json) go beside it.

    Returns:
        The Markdown, and where it is.
    """
    folder = Path(cells[0].settings.work_dir)
    with locked(folder / f'.{table.name}.lock'):  # the last cells of an array may end together
        measured = collected(table, cells, failures)
        evidence = gather(table, cells)
        curves = _curves(table, cells)
        drawings = _drawings(table, measured, curves, out)
        pictures = {title: path for title, (path, _) in drawings.items()}
        page = write_report(table, measured, evidence, pictures, _falls(table, curves))
        with atomic_path(out) as temporary:
            temporary.write_text(page, encoding='utf-8')
        write_json(out.with_suffix('.json'), _plain(table, measured, evidence), indent=1)
        for path, draw in drawings.values():
            draw(path)
    names = [out, out.with_suffix('.json'), *(path for path, _ in drawings.values())]
    return f'{page}\nwritten: {", ".join(map(str, names))}'


def _curves(table: Table, cells: list[Cell]) -> dict[str, list[dict]]:
    """Return the trainings whose way is drawn, a run a seed, by row; those that kept logs."""
    found: dict[str, list[dict]] = {}
    for cell in cells:
        train = cell.folder / 'train'
        if cell.done and cell.row.config in table.curves and any(train.glob('*/vis_data/scalars.json')):
            found.setdefault(cell.row.name, []).append(read_run(train))
    return found


def _logged(table: Table, curves: dict[str, list[dict]]) -> tuple[Metric | None, str | None]:
    """Return the focus of a table, and the name that the trainings log it by."""
    focus = next((metric for metric in table.metrics if metric.name == table.focus), None)
    logged = {key for runs in curves.values() for run in runs for key in run['metrics']}
    return focus, next((key for key in focus.keys if key in logged), None) if focus else None


def _falls(table: Table, curves: dict[str, list[dict]]) -> dict[str, str]:
    """Return by how much the focus falls in all between validations, over the seeds, by row."""
    focus, key = _logged(table, curves)
    falls = {
        name: [total_fall(run['metrics'][key]) * focus.scale for run in runs if key in run['metrics']]
        for name, runs in curves.items()
        if key is not None
    }
    return {name: format_measured(values, focus.digits) for name, values in falls.items() if values}


def _drawings(
    table: Table, measured: list[Measured], curves: dict[str, list[dict]], out: Path
) -> dict[str, tuple[Path, Callable[[Path], None]]]:
    """Return the pictures by their titles, as a file and what draws it; that of the table has no title.

    The others show the focus of the table, over the training and against size.
    """
    found: dict[str, tuple[Path, Callable[[Path], None]]] = {}
    if has_figures(table, measured):
        found[''] = out.with_suffix('.png'), lambda path: draw_table(table, measured, path)
    focus, key = _logged(table, curves)
    if focus is None:
        return found

    def convergence(path: Path) -> None:
        with figure_in(path, figsize=(14, 4.4)) as figure:
            draw_convergence(figure, curves, key)

    def sizes(path: Path) -> None:
        with figure_in(path, figsize=(9, 6)) as figure:
            draw_sizes(figure, rows, focus.name)

    if key is not None:
        found['Over the training'] = out.with_name(f'{out.stem}_convergence.png'), convergence
    rows = _sizes(measured, focus)
    if rows:
        found['Against size'] = out.with_name(f'{out.stem}_sizes.png'), sizes
    return found


def _sizes(measured: list[Measured], focus: Metric) -> list[tuple[str, int, float, float | None]]:
    """Return name, trainable parameters, mean and deviation of each row that has them."""
    rows = []
    for one in measured:
        values, sizes = list(one.values(focus).values()), one.fact('trainable')
        if values and sizes:
            rows.append((one.row.name, sizes[0], *summarise(values)))
    return rows


def _plain(table: Table, measured: list[Measured], evidence: Evidence) -> dict:
    """Return the figures in plain values."""

    def plain(config: str | None, found: Mapping[str, Mapping[str, Difference]]) -> dict:
        return {name: dataclasses.asdict(each) for name, each in found.get(config or '', {}).items()}

    rows = {
        one.row.config: dict(
            name=one.row.name,
            values={metric.name: one.values(metric) for metric in table.metrics},
            differences=plain(one.row.config, evidence.differences),
            conditions=evidence.groups.get(one.row.config or '', {}),
            differences_by_condition=plain(one.row.config, evidence.by_condition),
        )
        for one in measured
    }
    reported = {row.name: row.reported for row in table.rows if row.reported}
    return dict(
        table=table.name, protocol=table.protocol, base=table.base, measured=rows, paper_reported=reported
    )
