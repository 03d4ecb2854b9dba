"""From what was found at each pair to a verdict on the dataset as a whole."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import numpy as np

from mmslg.conversion.base import DatasetReader
from mmslg.conversion.layout import Layout
from mmslg.conversion.output import MANIFEST
from mmslg.conversion.verification.inspect import MIN_COLOUR, PairReport
from mmslg.conversion.verification.kinds import KINDS, Check

MAX_SHIFT = 6.0
"""Median shift in pixels, by itself and beyond the usual one, from which on pairs count as misaligned."""
MAX_PAIR_SHIFT = 10.0
"""Deviation of a single pair from the median in pixels from which on it is named."""
MIN_PAIRS = 3
SAMPLE_SHARE = 0.1
"""Below this share of the published pairs a folder is taken for a sample, not for a broken download."""


def run_checks(reader: DatasetReader, layout: Layout, reports: list[PairReport]) -> list[Check]:
    """Judge all findings.

    Returns:
        One check for each kind, in the order of KINDS, the reader's own kinds last.
    """
    kinds = {**KINDS, **reader.own_kinds}
    checks = {kind: Check(kind, *words) for kind, words in kinds.items()}
    for kind, items in layout.problems.items():
        checks[kind].items += items
    for report in reports:
        for kind, item in report.findings:
            known = kind == 'truncated' and item.endswith(reader.known_truncated)
            (checks[kind].known if known else checks[kind].items).append(item)
    _sizes(reader, reports, checks)
    _duplicates(reports, checks)
    _colours(reports, checks)
    _shifts(reader, reports, checks)
    _counts(reader, layout, reports, checks)
    _outputs(layout, checks)
    return list(checks.values())


def shift_summary(reader: DatasetReader, reports: list[PairReport]) -> dict:
    """Return the distribution of the shifts that can be relied on, in pixels."""
    known = [r.shift for r in reports if r.shift]
    shifts = np.array([(s.dx, s.dy) for s in known if s.reliable]).reshape(-1, 2)
    if len(shifts) == 0:
        return dict(pairs=len(known), reliable=0)
    median = np.median(shifts, 0)
    usual = reader.usual_shift or (0.0, 0.0)
    return dict(
        pairs=len(known),
        reliable=len(shifts),
        median=[round(float(v), 2) for v in median],
        usual=list(usual),
        beyond_usual=[round(float(v), 2) for v in median - usual],
        deviation=[round(float(v), 2) for v in np.median(np.abs(shifts - median), 0)],
    )


def _sizes(reader: DatasetReader, reports: list[PairReport], checks: dict[str, Check]) -> None:
    """Compare every pair with its labels and, where one size is published, with the size that most have."""
    sized = [r for r in reports if r.sizes[0] and r.sizes[0] == r.sizes[1]]
    official = set(reader.sizes or ())
    for report in sized:
        claimed, size = report.label_size, report.sizes[0]
        if claimed and claimed != size and not {claimed, size} <= official:
            checks['label-size'].items.append(f'{report.key}: {_times(claimed)}, image {_times(size)}')
    if not sized or not official:
        return
    usual = Counter(r.sizes[0] for r in sized).most_common(1)[0][0]
    for report in sized:
        if report.sizes[0] != usual:
            kind = reader.mixed_sizes if {report.sizes[0], usual} <= official else 'wrong-size'
            text = f'{report.key}: {_times(report.sizes[0])}, most pairs {_times(usual)}'
            checks[kind].items.append(text)
    if usual not in official:
        wanted = ' or '.join(_times(s) for s in sorted(official))
        checks['resized'].items.append(f'{_times(usual)}, published {wanted}')
    checks['wrong-size'].note = _times(usual)


def _times(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]}'


def _duplicates(reports: list[PairReport], checks: dict[str, Check]) -> None:
    blank = {r.key for r in reports if any(kind in ('blank-image', 'same-image') for kind, _ in r.findings)}
    blank.update(checks['split-overlap'].items)
    owners: dict[str, list[PairReport]] = {}
    for report in reports:
        for digest in report.digests if report.key not in blank else ():
            owners.setdefault(digest, []).append(report)
    groups = {}
    for group in owners.values():
        if len(group) > 1:
            across = ', in two splits' if len({r.split for r in group}) > 1 else ''
            groups[' = '.join(r.key for r in group) + across] = None
    checks['duplicate-image'].items += groups


def _colours(reports: list[PairReport], checks: dict[str, Check]) -> None:
    """The visible image has colour, the infrared one has none: if it is the other way, they are swapped."""
    judged = [r for r in reports if r.colours]
    swapped = [r for r in judged if r.colours[0] < MIN_COLOUR and r.colours[1] > 2 * MIN_COLOUR]
    right = [r for r in judged if r.colours[0] >= MIN_COLOUR]
    if swapped and len(swapped) > len(right):
        checks['swapped'].note = f'the folders: {len(swapped)} of {len(judged)} pairs'
    checks['swapped'].items += [r.key for r in swapped]
    grey = [r for r in judged if max(r.colours) < MIN_COLOUR and not r.dark]
    checks['grey-visible'].items += [r.key for r in grey]
    if judged:
        medians = np.median([r.colours for r in judged], 0)
        checks['grey-visible'].note = f'colour: visible {medians[0]:.1f}, infrared {medians[1]:.1f}'


def _shifts(reader: DatasetReader, reports: list[PairReport], checks: dict[str, Check]) -> None:
    """Find a shift that most pairs share, and single pairs that are shifted otherwise."""
    summary = shift_summary(reader, reports)
    if summary['reliable'] < MIN_PAIRS:
        checks['misaligned'].note = f'only {summary["reliable"]} pairs have a clear estimate'
        return
    median, beyond = summary['median'], summary['beyond_usual']
    text = f'median shift ({median[0]:+.1f}, {median[1]:+.1f}) px of {summary["reliable"]} pairs'
    if reader.usual_shift:
        text += f', ({beyond[0]:+.1f}, {beyond[1]:+.1f}) beyond the usual one'
    checks['misaligned'].note = text
    if min(np.hypot(*median), np.hypot(*beyond)) > MAX_SHIFT:
        checks['misaligned'].items.append(text)
    for report in reports:
        shift = report.shift
        if shift and shift.reliable and np.hypot(shift.dx - median[0], shift.dy - median[1]) > MAX_PAIR_SHIFT:
            checks['misaligned-pair'].items.append(f'{report.key}: ({shift.dx:+.1f}, {shift.dy:+.1f}) px')


def _counts(
    reader: DatasetReader, layout: Layout, reports: list[PairReport], checks: dict[str, Check]
) -> None:
    """Compare pairs and boxes with the published numbers; a small sample is only called one."""
    found = {split: len(pairs) for split, pairs in layout.splits.items()}
    published = reader.published_pairs(found)
    if 'all' in published:
        found = {**found, 'all': sum(map(len, layout.splits.values()))}
    notes = []
    complete: dict[str, Counter] = {}
    for split, count in found.items():
        wanted = published.get(split)
        if not wanted:
            notes.append(f'{split} {count}')
            continue
        sample = count < SAMPLE_SHARE * wanted
        notes.append(f'{split} {count} of {wanted}{", a sample" if sample else ""}')
        if count > wanted:
            checks['label-version'].items.append(f'{split}: {count} pairs, published {wanted}')
        elif count < wanted and not sample:
            checks['incomplete'].items.append(f'{split}: {count} of {wanted} pairs')
        elif count == wanted:
            complete[split] = Counter()
    for report in reports:
        if report.split in complete:
            complete[report.split].update(report.num_boxes)
    notes += [f'no {split}' for split in published if split not in found]
    checks['incomplete'].note = ', '.join(notes)
    if reader.versions and all(split in complete for v in reader.versions.values() for split in v):
        version = reader.label_version(complete)
        checks['label-version'].note = version
        if version.startswith('unknown'):
            checks['label-version'].items.append(version)


def _outputs(layout: Layout, checks: dict[str, Check]) -> None:
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
