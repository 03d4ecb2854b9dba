"""Testing a detector under corruptions, cell by cell, into a folder; what is there is not tested again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from mmslg.apis.launch import build_runner
from mmslg.captions.lookup import CaptionLookup
from mmslg.engine.precision_hook import describe_loop
from mmslg.engine.run_facts import device_facts
from mmslg.errors import InputError
from mmslg.robustness.cells import CAPTIONS, Cell, Subject, cell_dataloader
from mmslg.utils.io import atomic_path, read_json, write_json
from mmslg.utils.progress import progress_bar
from mmslg.visualization.samples import innermost_datasets


def result_file(folder: Path, cell: Cell) -> Path:
    """Return where the figures of a cell are."""
    return folder / 'cells' / f'{cell.file}.json'


def read_results(folder: Path, cells: Iterable[Cell]) -> dict[Cell, dict[str, Any]]:
    """Return the figures of those cells that were tested.

    Raises:
        InputError: A file does not hold what this writes.
    """
    found = {}
    for cell in cells:
        path = result_file(folder, cell)
        if path.is_file():
            data = read_json(path)
            if not isinstance(data, dict) or not isinstance(data.get('figures'), dict):
                raise InputError(f'{path}: holds no figures; remove the file, and the cell is tested again')
            found[cell] = data
    return found


class _Recorder(Hook):
    """Keeps what was done to each pair, and counts them."""

    def __init__(self, bar: tqdm) -> None:
        self.bar, self.rows = bar, []

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        for sample in outputs:
            self.rows.append({'key': sample.file_name, **sample.get('corruption', {})})
        self.bar.update(len(outputs))


def run_cells(
    subject: Subject,
    checkpoint: str,
    cells: Sequence[Cell],
    folder: Path,
    judge: Callable[[Cell, dict], None],
) -> None:
    """Test cells one after another, and write the figures of each and what was done to its pairs.

    The model is built and loaded once, as tools/test.py does; each cell builds its own test set and metrics.

    Args:
        subject: What is tested.
        checkpoint: Its weights.
        cells: The cells, in this order.
        folder: Gets ``cells/CELL.json`` and ``manifest/CELL.jsonl``.
        judge: Is given each cell and its result before the next one is begun.
    """
    if not cells:
        return
    cfg = deepcopy(subject.cfg)
    cfg.update(load_from=checkpoint, resume=False, work_dir=str(folder / 'log'), log_level='WARNING')
    runner = build_runner(cfg)
    recorder = _Recorder(progress_bar(len(cells) * len(subject.pairs), 'pairs'))
    runner.register_hook(recorder)
    for number, cell in enumerate(cells):
        start = time.monotonic()
        recorder.rows = []
        runner._test_dataloader = cell_dataloader(subject, cell)
        runner._test_loop = runner.build_test_loop(deepcopy(cfg.test_cfg))
        if not number:
            runner.call_hook('before_run')
            runner.load_or_resume()
        figures = runner.test_loop.run()
        rows = recorder.rows
        if cell.name in CAPTIONS and cell.severity:
            rows = _captions_of(subject, cell, rows)
        result = {
            'name': cell.name,
            'severity': cell.severity,
            'figures': {name: _plain(value) for name, value in figures.items()},
            'overlap': float(np.mean([row.get('overlap', 1.0) for row in rows])),
            'protocol': _protocols(runner),
            'computed': _computed(runner),
            'pairs': len(rows),
            'seconds': round(time.monotonic() - start, 2),
        }
        _write_rows(folder / 'manifest' / f'{cell.file}.jsonl', rows)
        write_json(result_file(folder, cell), result, indent=1)
        judge(cell, result)
    runner.call_hook('after_run')


def _captions_of(subject: Subject, cell: Cell, rows: list[dict]) -> list[dict]:
    """Add to each pair whose caption it got."""
    facts = {'name': cell.name, 'severity': cell.severity}
    if cell.name == 'caption/none':
        return [{**row, **facts, 'caption_of': None} for row in rows]
    lookups = []
    for dataset in innermost_datasets(subject.cfg.test_dataloader.dataset):
        stores = dataset.caption_store
        stores = [stores] if isinstance(stores, str) else stores
        paths = [os.path.join(dataset.get('data_root') or '', store) for store in stores]
        lookups.append(CaptionLookup(paths, CAPTIONS[cell.name], subject.seed))
    if len(lookups) > 1:  # which one a pair is of is not known here
        return [{**row, **facts, 'caption_seed': subject.seed} for row in rows]
    return [{**row, **facts, 'caption_of': lookups[0].source(row['key'])} for row in rows]


def _protocols(runner: Runner) -> list[str]:
    metrics = runner.test_loop.evaluator.metrics
    return [str(metric.describe()) for metric in metrics if hasattr(metric, 'describe')]


def _computed(runner: Runner) -> str:
    return f'{describe_loop(runner, runner.test_loop)}, on {device_facts()["name"]}'


def _plain(value: Any) -> Any:
    """Return a figure as JSON knows it: None for what is none."""
    if isinstance(value, (bool, str)):
        return value
    value = float(value)
    return value if np.isfinite(value) else None


def _write_rows(path: Path, rows: Sequence[dict]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(''.join(json.dumps(row) + '\n' for row in rows), encoding='utf-8')
