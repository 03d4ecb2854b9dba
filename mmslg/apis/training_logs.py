"""What a training logged: loss and validation by iteration, and how many parameters it trained."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmslg.errors import InputError
from mmslg.utils.io import read_json


def read_scalars(path: Path) -> list[dict[str, Any]]:
    """Read what MMEngine logged, one JSON object a line; a last line cut short is left out.

    Raises:
        InputError: Another line is not JSON.
    """
    lines = path.read_text(encoding='utf-8').splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise InputError(f'{path}, line {number}: not valid JSON ({error})') from None
        rows.append(row)
    return rows


def read_run(work_dir: str | os.PathLike) -> dict[str, Any]:
    """Read the newest training of a work folder, whole also where it was stopped and resumed.

    Returns:
        ``work_dir``; ``run``: the folder of the newest log; ``loss``: points (iteration, loss); ``metrics``:
        by name, points (step, value); ``by_epoch``: whether those steps are epochs.

    Raises:
        InputError: There is no log of a training.
    """
    folder = Path(work_dir)
    if not folder.is_dir():
        raise InputError(f'{work_dir}: no such folder')
    logs = sorted([*folder.glob('*/vis_data/scalars.json'), *folder.glob('vis_data/scalars.json')])
    if not logs:
        raise InputError(
            f'{work_dir}: no */vis_data/scalars.json there; wanted the work folder of a training'
        )
    # Tests leave logs in the same folder; a training is known by its loss.
    newest = next((log for log in reversed(logs) if _losses(read_scalars(log))), None)
    if newest is None:
        raise InputError(f'{work_dir}: its logs hold no loss; wanted the work folder of a training')
    rows = read_scalars(newest)
    if _was_resumed(folder):
        for log in reversed(logs[: logs.index(newest)]):
            rows = _before(read_scalars(log), rows) + rows
    metrics: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, value in row.items():
            if 'loss' not in row and '/' in name and isinstance(value, (int, float)):
                metrics.setdefault(name, []).append((row.get('step', 0), value))
    return {
        'work_dir': str(work_dir),
        'run': str(newest.parent.parent),
        'loss': [(_iteration(row), row['loss']) for row in _losses(rows)],
        'metrics': metrics,
        'by_epoch': any('epoch' in row for row in _losses(rows)),
    }


def _losses(rows: Sequence[dict]) -> list[dict]:
    return [row for row in rows if 'loss' in row]


def _iteration(row: dict) -> int:
    return row.get('iter', row.get('step'))


def _was_resumed(folder: Path) -> bool:
    """Tell from ``run.json`` whether the last start of a run went on from a checkpoint."""
    if not (folder / 'run.json').is_file():
        return False
    return bool(read_json(folder / 'run.json')['starts'][-1]['weights']['resumed_at'])


def _before(earlier: list[dict], later: list[dict]) -> list[dict]:
    """Return the rows of an earlier log that a later one, which went on, does not repeat."""
    first = min(map(_iteration, _losses(later)))
    validations = [row['step'] for row in later if 'loss' not in row and 'step' in row]
    return [
        row
        for row in earlier
        if (_iteration(row) < first if 'loss' in row else row.get('step', 0) < min(validations, default=1e18))
    ]


def trainable_parameters(work_dir: str | os.PathLike) -> int:
    """Return how many parameters a run trained, as its ``run.json`` says."""
    parts = read_json(Path(work_dir) / 'run.json')['starts'][-1]['parameters']
    return sum(part['trainable'] for part in parts.values())
