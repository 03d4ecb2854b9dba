"""Checks of a dataset as a whole: shifts, counts, earlier conversions."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from mmslg.conversion import published
from mmslg.conversion.layout import Layout
from mmslg.conversion.output import MANIFEST
from mmslg.conversion.verification.inspect import PairReport

if TYPE_CHECKING:
    from mmslg.conversion.verification.checks import Check

USUAL_SHIFTS = {'flir': (2.6, -0.6), 'llvip': (-1.4, 3.0), 'kaist': (-0.7, 0.9), 'dronevehicle': (0.0, -0.8)}
"""Median shift in pixels of untouched pairs, measured on 4, 16, 10 and 10 of them: for orientation only."""
MAX_SHIFT = 6.0
"""Median shift in pixels, by itself and beyond the usual one, from which on pairs count as misaligned."""
MAX_PAIR_SHIFT = 10.0
"""Deviation of a single pair from the median in pixels from which on it is named."""
MIN_PAIRS = 3
SAMPLE_SHARE = 0.1
"""Below this share of the published pairs a folder is taken for a sample, not for a broken download."""


def shift_summary(dataset: str, reports: list[PairReport]) -> dict:
    """Return the distribution of the shifts that can be relied on, in pixels."""
    known = [r.shift for r in reports if r.shift]
    shifts = np.array([(s.dx, s.dy) for s in known if s.reliable]).reshape(-1, 2)
    if len(shifts) == 0:
        return dict(pairs=len(known), reliable=0)
    median = np.median(shifts, 0)
    usual = USUAL_SHIFTS[dataset]
    return dict(
        pairs=len(known),
        reliable=len(shifts),
        median=[round(float(v), 2) for v in median],
        usual=list(usual),
        beyond_usual=[round(float(v), 2) for v in median - usual],
        deviation=[round(float(v), 2) for v in np.median(np.abs(shifts - median), 0)],
    )


def check_shifts(dataset: str, reports: list[PairReport], checks: dict[str, Check]) -> None:
    """Find a shift that most pairs share, and single pairs that are shifted otherwise."""
    summary = shift_summary(dataset, reports)
    if summary['reliable'] < MIN_PAIRS:
        checks['misaligned'].note = f'only {summary["reliable"]} pairs have a clear estimate'
        return
    median, beyond = summary['median'], summary['beyond_usual']
    text = (
        f'median shift ({median[0]:+.1f}, {median[1]:+.1f}) px of {summary["reliable"]} pairs, '
        f'({beyond[0]:+.1f}, {beyond[1]:+.1f}) beyond the usual one'
    )
    checks['misaligned'].note = text
    if min(np.hypot(*median), np.hypot(*beyond)) > MAX_SHIFT:
        checks['misaligned'].items.append(text)
    for report in reports:
        shift = report.shift
        if shift and shift.reliable and np.hypot(shift.dx - median[0], shift.dy - median[1]) > MAX_PAIR_SHIFT:
            checks['misaligned-pair'].items.append(f'{report.key}: ({shift.dx:+.1f}, {shift.dy:+.1f}) px')


def check_counts(dataset: str, layout: Layout, reports: list[PairReport], checks: dict[str, Check]) -> None:
    """Compare pairs and boxes with the published numbers; a small sample is only called one."""
    notes = []
    for split, pairs in layout.splits.items():
        wanted = published.PAIRS[dataset].get(split)
        if dataset == 'kaist' and split == 'train':
            wanted = len(pairs) if len(pairs) in published.KAIST_TRAIN_LISTS else None
        boxes: Counter = Counter()
        for report in reports:
            if report.split == split:
                boxes.update(report.num_boxes)
        if wanted and len(pairs) < wanted and len(pairs) >= SAMPLE_SHARE * wanted:
            checks['incomplete'].items.append(f'{split}: {len(pairs)} of {wanted} pairs')
        sample = wanted and len(pairs) < SAMPLE_SHARE * wanted
        notes.append(
            f'{split} {len(pairs)}' + (f' of {wanted}{", a sample" if sample else ""}' if wanted else '')
        )
        if wanted and len(pairs) > wanted:
            checks['label-version'].items.append(f'{split}: {len(pairs)} pairs, published {wanted}')
        elif len(pairs) == wanted:
            _check_boxes(dataset, split, boxes, checks)
    absent = [s for s in published.PAIRS[dataset] if s not in layout.splits]
    notes += [f'no {s}' for s in absent]
    checks['incomplete'].note = ', '.join(notes)


def _check_boxes(dataset: str, split: str, boxes: Counter, checks: dict[str, Check]) -> None:
    wanted = published.BOXES.get(dataset, {}).get(split)
    total = sum(boxes.values())
    if wanted and dict(boxes) != wanted:
        checks['label-version'].items.append(f'{split}: {dict(boxes)}, published {wanted}')
    if dataset == 'llvip' and split == 'test':
        version = published.LLVIP_TEST_BOXES.get(total)
        checks['label-version'].note = f'test labels: {version or "unknown"}'
        if version is None:
            checks['label-version'].items.append(f'test: {total} boxes, published 8302 or 7931')


def check_outputs(layout: Layout, checks: dict[str, Check]) -> None:
    """Compare annotations in the folder with the hashes of their manifest."""
    path = layout.root / MANIFEST
    check = checks['converted']
    if not path.is_file():
        check.note = 'not converted here yet'
        return
    try:
        outputs = json.loads(path.read_text(encoding='utf-8'))['outputs']
        wanted = {str(name): str(digest) for name, digest in outputs.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        check.note = f'{MANIFEST} is not one of the converter'
        return
    for name, digest in wanted.items():
        file = layout.root / name.replace('\\', '/').rsplit('/', 1)[-1]
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            check.items.append(name)
