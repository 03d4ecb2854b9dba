"""Showing a verdict: a table, JSON data, a picture of the shifts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from mmslg.conversion.base import DatasetReader
from mmslg.conversion.layout import Layout, plural
from mmslg.conversion.verification.checks import shift_summary
from mmslg.conversion.verification.inspect import PairReport
from mmslg.conversion.verification.kinds import Check
from mmslg.utils.io import atomic_path

EXAMPLES = 3


def verdict(checks: list[Check]) -> tuple[bool, str]:
    """Return whether the folder is fit to train on, and a sentence about it."""
    failed = [c for c in checks if c.status == 'fail']
    if failed:
        return False, f'NOT fit to train: {", ".join(c.kind for c in failed)}'
    sample = next(c for c in checks if c.kind == 'incomplete').note
    partial = (
        ' as a part of the dataset; figures compare with no published one' if 'a sample' in sample else ''
    )
    return True, f'fit to train{partial}'


def print_table(checks: list[Check]) -> None:
    """Print a line for each check, and for each that is not fine what was found and what to do."""
    width = max(len(c.title) for c in checks)
    for check in checks:
        count = f'{len(check.items)}' if check.items else '-'
        note = f'  {check.note}' if check.note else ''
        known = f'  ({len(check.known)} known in the published data)' if check.known else ''
        print(f'{check.status:<5}{check.kind:<17}{check.title:<{width}} {count:>6}{note}{known}'.rstrip())
        if check.items:
            more = f', ... {len(check.items) - EXAMPLES} more' if len(check.items) > EXAMPLES else ''
            print(f'       found: {"; ".join(check.items[:EXAMPLES])}{more}')
            print(f'       to do: {check.action}')


def as_data(reader: DatasetReader, layout: Layout, reports: list[PairReport], checks: list[Check]) -> dict:
    """Return everything as JSON data."""
    fit, sentence = verdict(checks)
    boxes: dict[str, Counter] = {split: Counter() for split in layout.splits}
    for report in reports:
        boxes[report.split].update(report.num_boxes)
    return dict(
        dataset=reader.name,
        root=str(layout.root),
        recognised=layout.description,
        fit_to_train=fit,
        verdict=sentence,
        failed=[c.kind for c in checks if c.status == 'fail'],
        warned=[c.kind for c in checks if c.status == 'warn'],
        pairs={split: len(pairs) for split, pairs in layout.splits.items()},
        boxes={split: dict(counts) for split, counts in boxes.items()},
        shift=dict(
            shift_summary(reader, reports),
            each={r.key: [r.shift.dx, r.shift.dy, r.shift.reliable] for r in reports if r.shift},
        ),
        checks=[
            dict(
                kind=c.kind,
                title=c.title,
                status=c.status,
                count=len(c.items),
                items=c.items[:1000],
                known=c.known,
                note=c.note,
                action=c.action if c.items else '',
            )
            for c in checks
        ],
    )


def plot_shifts(path: Path, dataset: str, reports: list[PairReport]) -> str:
    """Draw the shifts of all pairs: where they lie, and how each coordinate is distributed.

    Returns:
        A remark about what was drawn.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shifts = [r.shift for r in reports if r.shift]
    clear = np.array([(s.dx, s.dy) for s in shifts if s.reliable]).reshape(-1, 2)
    vague = np.array([(s.dx, s.dy) for s in shifts if not s.reliable]).reshape(-1, 2)
    figure = Figure(figsize=(11, 4.2), layout='constrained')
    FigureCanvasAgg(figure)
    plane, *histograms = figure.subplots(1, 3)
    plane.scatter(vague[:, 0], vague[:, 1], s=12, c='0.75', label=f'unclear, not counted ({len(vague)})')
    plane.scatter(clear[:, 0], clear[:, 1], s=14, alpha=0.6, label=f'clear ({len(clear)})')
    title = f'{dataset}: infrared against visible, {plural(len(shifts), "pair")}'
    if len(clear):
        x, y = np.median(clear, 0)
        plane.plot(x, y, 'r+', markersize=14, label=f'median ({x:+.1f}, {y:+.1f})')
    plane.axhline(0, c='k', lw=0.5)
    plane.axvline(0, c='k', lw=0.5)
    plane.invert_yaxis()
    plane.set(xlabel='dx in pixels', ylabel='dy in pixels (down is positive)', title='shift of each pair')
    plane.legend(fontsize=8)
    for axis, column, name in zip(histograms, (0, 1), ('dx', 'dy')):
        if len(clear):
            axis.hist(clear[:, column], bins=min(60, max(10, len(clear) // 4)))
            axis.axvline(float(np.median(clear[:, column])), c='r', lw=1)
        axis.set(xlabel=f'{name} in pixels', ylabel='pairs')
    figure.suptitle(title)
    with atomic_path(path.with_suffix('.png')) as temporary:
        figure.savefig(temporary, dpi=110)
    return f'{len(clear)} clear and {len(vague)} unclear estimates'
