"""From what was found to a verdict: one line for each kind of defect."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from mmslg.conversion import published
from mmslg.conversion.base import DatasetReader
from mmslg.conversion.layout import Layout
from mmslg.conversion.verification import dataset_checks
from mmslg.conversion.verification.inspect import MIN_COLOUR, PairReport

GET_AGAIN = 'get the files again from the archive'
KINDS: dict[str, tuple[str, str]] = {
    'missing-visible': ('visible image missing', GET_AGAIN + ', or take the pairs out of the lists'),
    'missing-infrared': ('infrared image missing', GET_AGAIN + ', or take the pairs out of the lists'),
    'missing-label': ('label file missing', GET_AGAIN + '; an image without objects has a label file, too'),
    'orphan-image': ('image without partner and label', 'remove it, or get the rest of the pair'),
    'orphan-label': ('label file without images', 'get the images, or remove the label file'),
    'split-overlap': (
        'pair in two splits',
        'correct the lists or folders: test pairs must not be trained on',
    ),
    'unreadable': ('image cannot be decoded', GET_AGAIN),
    'truncated': ('image truncated', GET_AGAIN),
    'blank-image': ('image of one colour', GET_AGAIN),
    'size-mismatch': ('two sizes in a pair', 'register and resize the two images of a pair to one size'),
    'wrong-size': ('size differs from the other pairs', 'replace these images by the original ones'),
    'resized': ('all images differ from the published size', 'fine if the labels were scaled along'),
    'label-size': (
        '<size> in the labels is not the image size',
        'see that labels and images belong together',
    ),
    'bad-label': ('label file cannot be read', GET_AGAIN + ', or correct the line that is named'),
    'stray-class': (
        'class that the dataset does not have',
        'correct the name; the converter drops such boxes',
    ),
    'no-box': ('object without coordinates', 'correct or remove the object; the converter drops it'),
    'box-outside': ('box outside the image', 'see that labels and images belong together, correct the box'),
    'empty-box': ('box without area', 'correct or remove the box; the converter drops it'),
    'duplicate-box': ('box given twice', 'remove one of the two'),
    'duplicate-image': ('one image under two names', GET_AGAIN + ': one copy was written over another'),
    'same-image': ('visible and infrared are the same image', GET_AGAIN + ': one was copied over the other'),
    'swapped': ('visible and infrared swapped', 'swap the two folders, or the files of the pairs named'),
    'grey-visible': ('visible image without colour', 'see that it is no infrared image; get it again'),
    'border': (
        'white border not as expected',
        'keep all images at 840x712 with, or at 640x512 without border',
    ),
    'misaligned': ('infrared images shifted', 'register the pairs: shift the infrared images back'),
    'misaligned-pair': ('single pair shifted', 'see whether its two images belong together'),
    'incomplete': ('pairs of the published split missing', 'get the missing files'),
    'label-version': ('boxes are not the published number', 'say in your results which labels you used'),
    'converted': ('annotations do not fit their manifest', 'run the converter again'),
}
"""Title of each kind and what to do about it."""

WARNINGS = {'resized', 'label-size', 'label-version'}
"""Kinds that do not keep anybody from training."""


@dataclass
class Check:
    """The outcome for one kind of defect.

    Args:
        kind: Key of KINDS.
        status: ``ok``, ``warn`` or ``fail``.
        items: What was found.
        known: Items that the published dataset is known to have; they do not count.
        note: A remark for the table.
    """

    kind: str
    status: str = 'ok'
    items: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    note: str = ''

    @property
    def title(self) -> str:
        """Name of the defect for people."""
        return KINDS[self.kind][0]

    @property
    def action(self) -> str:
        """What to do about it."""
        return KINDS[self.kind][1]


def run_checks(reader: DatasetReader, layout: Layout, reports: list[PairReport]) -> list[Check]:
    """Judge all findings.

    Returns:
        One check for each kind, in the order of KINDS.
    """
    checks = {kind: Check(kind) for kind in KINDS}
    for kind, items in layout.problems.items():
        checks[kind].items += items
    for report in reports:
        for kind, item in report.findings:
            known = kind == 'truncated' and item.endswith(published.DRONEVEHICLE_TRUNCATED)
            (checks[kind].known if known else checks[kind].items).append(item)
    _sizes(reader, reports, checks)
    _duplicates(reports, checks)
    _colours(reports, checks)
    dataset_checks.check_shifts(reader.name, reports, checks)
    dataset_checks.check_counts(reader.name, layout, reports, checks)
    dataset_checks.check_outputs(layout, checks)
    for check in checks.values():
        if check.items:
            check.status = 'warn' if check.kind in WARNINGS else 'fail'
    return list(checks.values())


def _sizes(reader: DatasetReader, reports: list[PairReport], checks: dict[str, Check]) -> None:
    """Compare every pair with the size that most have."""
    sized = [r for r in reports if r.sizes[0] and r.sizes[0] == r.sizes[1]]
    if not sized:
        return
    usual = Counter(r.sizes[0] for r in sized).most_common(1)[0][0]
    border = 2 * published.BORDER
    official = {reader.size}
    if reader.name == 'dronevehicle':
        official.add((reader.size[0] + border, reader.size[1] + border))
        checks['border'].note = f'{sum(bool(r.bordered) for r in sized)} of {len(sized)} pairs with border'
    for report in sized:
        if report.sizes[0] != usual:
            mixed = {report.sizes[0], usual} == official and len(official) == 2
            text = f'{report.key}: {_times(report.sizes[0])}, most pairs {_times(usual)}'
            if not mixed:
                checks['wrong-size'].items.append(text)
            elif not any(kind == 'border' for kind, _ in report.findings):
                checks['border'].items.append(text)
        claimed = report.label_size
        if claimed and claimed != report.sizes[0] and not {claimed, report.sizes[0]} <= official:
            checks['label-size'].items.append(
                f'{report.key}: {_times(claimed)}, image {_times(report.sizes[0])}'
            )
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
