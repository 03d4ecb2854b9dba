"""Looking at one pair: both images decoded, its labels read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from mmslg.conversion import published
from mmslg.conversion.base import DatasetReader, Options
from mmslg.conversion.image_files import probe_image
from mmslg.conversion.layout import Layout, Pair
from mmslg.conversion.readers import make_reader
from mmslg.conversion.verification.shift import Shift, estimate_shift
from mmslg.errors import InputError
from mmslg.utils.safe_text import shorten

MIN_COLOUR = 0.6
"""Deviation of colour differences below which an image counts as grey; infrared images stay below."""
MIN_CONTRAST = 1.0
"""Standard deviation below which an image counts as blank."""
WHITE = 235
"""Mean of a ring from which on it counts as a white border."""


DARK = 25
"""Mean below which a visible image may be grey, being taken at night."""
PADDED = tuple(n + 2 * published.BORDER for n in reversed(published.SIZES['dronevehicle']))
"""(height, width) of a DroneVehicle image with its border."""


@dataclass
class PairReport:
    """What was found at one pair.

    Args:
        key: The pair.
        split: Its split.
        findings: (kind of defect, detail).
        sizes: (width, height) of the visible and the infrared image, None where unreadable.
        digests: Hashes of the decoded pixels.
        colours: How much colour each image holds.
        dark: The visible image is too dark to be judged by its colour.
        bordered: Whether the images have DroneVehicle's white border; None if unknown.
        shift: Estimated shift of the infrared image.
        label_size: Image size that the labels claim.
        num_boxes: Boxes by class.
    """

    key: str
    split: str
    findings: list[tuple[str, str]] = field(default_factory=list)
    sizes: list[tuple[int, int] | None] = field(default_factory=lambda: [None, None])
    digests: list[str] = field(default_factory=list)
    colours: list[float] = field(default_factory=list)
    dark: bool = False
    bordered: bool | None = None
    shift: Shift | None = None
    label_size: tuple[int, int] | None = None
    num_boxes: dict[str, int] = field(default_factory=dict)


def inspect_layout(
    reader: DatasetReader, layout: Layout, workers: int, progress: Callable[[int], None]
) -> list[PairReport]:
    """Inspect every pair in parallel; ``progress`` is called with the number done."""
    tasks = [
        (reader.name, reader.options, layout.root, layout.labels_only, split, pair)
        for split, pairs in layout.splits.items()
        for pair in pairs
    ]
    if workers <= 1 or len(tasks) < 16:
        return _collect(map(_inspect, _loaded(tasks, layout, reader)), progress)
    with ProcessPoolExecutor(workers, get_context('spawn'), _start_worker) as pool:
        return _collect(pool.map(_inspect, _loaded(tasks, layout, reader), chunksize=8), progress)


def _loaded(tasks: list[tuple], layout: Layout, reader: DatasetReader) -> Iterable[tuple]:
    """Add the labels, where they come from one file for all pairs."""
    for task in tasks:
        labels = reader.read_labels(layout.root, task[-1]) if layout.source.get('layout') == 'coco' else None
        yield (*task, labels)


def _start_worker() -> None:
    cv2.setNumThreads(1)


def _collect(reports: Iterable[PairReport], progress: Callable[[int], None]) -> list[PairReport]:
    collected = []
    for report in reports:
        collected.append(report)
        progress(len(collected))
    return collected


def _inspect(task: tuple[str, Options, Path, bool, str, Pair, object]) -> PairReport:
    dataset, options, root, labels_only, split, pair, labels = task
    reader = make_reader(dataset, options)
    report = PairReport(pair.key, split)
    present = [pair.visible, pair.infrared]
    if pair.label is None and not all(present):
        report.findings.append(('orphan-image', pair.visible or pair.infrared or pair.key))
    elif not labels_only:
        for path, kind in zip(present, ('missing-visible', 'missing-infrared')):
            if path is None:
                report.findings.append((kind, pair.key))
        if pair.label is None:
            report.findings.append(('missing-label', pair.key))
    images = [
        None if labels_only or p is None else _decode(root, p, i, report) for i, p in enumerate(present)
    ]
    if images[0] is not None and images[1] is not None:
        _compare(reader, images[0], images[1], pair, report)
    if pair.label is not None:
        _check_labels(reader, root, pair, report, labels)
    return report


def _decode(root: Path, path: str, index: int, report: PairReport) -> np.ndarray | None:
    _, problem = probe_image(root / path)
    image = None
    if not problem:
        image = cv2.imdecode(np.fromfile(os.fspath(root / path), np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        report.findings.append(('truncated' if problem == 'truncated' else 'unreadable', path))
        return None
    report.sizes[index] = image.shape[1], image.shape[0]
    border = published.BORDER if image.shape[:2] == PADDED else 0
    height, width = image.shape[:2]
    if image[border : height - border, border : width - border].std() < MIN_CONTRAST:
        report.findings.append(('blank-image', path))
    return image


def _compare(
    reader: DatasetReader, visible: np.ndarray, infrared: np.ndarray, pair: Pair, report: PairReport
) -> None:
    report.digests = [hashlib.blake2b(i.tobytes(), digest_size=16).hexdigest() for i in (visible, infrared)]
    sizes = [f'{w}x{h}' for w, h in report.sizes]
    if sizes[0] != sizes[1]:
        report.findings.append(('size-mismatch', f'{pair.key}: visible {sizes[0]}, infrared {sizes[1]}'))
        return
    if any(kind == 'blank-image' for kind, _ in report.findings):
        return
    if report.digests[0] == report.digests[1]:
        report.findings.append(('same-image', pair.key))
        return
    if reader.name == 'dronevehicle':
        visible, infrared = _check_border(visible, infrared, pair, report)
    report.dark = float(visible.mean()) < DARK
    report.colours = [_colour(visible), _colour(infrared)]
    grey = [cv2.cvtColor(i, cv2.COLOR_BGR2GRAY) for i in (visible, infrared)]
    report.shift = estimate_shift(*grey)


def _check_border(
    visible: np.ndarray, infrared: np.ndarray, pair: Pair, report: PairReport
) -> tuple[np.ndarray, np.ndarray]:
    """Note whether the border is there, and return the contents."""
    border = published.BORDER
    height, width = visible.shape[:2]
    padded = (height, width) == PADDED
    depth = border - 6 if padded else 8
    white = [_ring_is_white(i, depth) for i in (visible, infrared)]
    report.bordered = all(white)
    if padded and not all(white):
        report.findings.append(('border', f'{pair.key}: {width}x{height} pixels but no white border'))
    if not padded and any(white):
        report.findings.append(('border', f'{pair.key}: {width}x{height} pixels but a white border'))
    if padded:
        return tuple(i[border : height - border, border : width - border] for i in (visible, infrared))
    return visible, infrared


def _ring_is_white(image: np.ndarray, depth: int) -> bool:
    sides = (image[:depth], image[-depth:], image[:, :depth], image[:, -depth:])
    return min(float(s.mean()) for s in sides) >= WHITE


def _colour(image: np.ndarray) -> float:
    """Return how much colour differences vary; a constant cast counts as none."""
    blue, green, red = (image[::4, ::4, i].astype(np.float32) for i in range(3))
    return round(float(((blue - green).std() + (red - green).std()) / 2), 3)


def _check_labels(reader: DatasetReader, root: Path, pair: Pair, report: PairReport, labels: object) -> None:
    try:
        labels = labels or reader.read_labels(root, pair)
    except InputError as error:
        report.findings.append(('bad-label', str(error).replace(f'{root}/', '')))
        return
    report.label_size = labels.size
    image_size = report.sizes[0] or report.sizes[1]
    crop = reader.crop_of(labels, image_size)
    size = crop[2:] if crop else image_size or reader.size
    offset = reader.offset_of(labels, image_size)
    slack = (
        published.BORDER + 1
        if reader.name == 'dronevehicle'
        else published.KNOWN_OVERSHOOT.get(reader.name, 1)
    )
    seen = set()
    for note, n in labels.notes.items():
        if note.startswith('dropped: an object'):
            report.findings.append(('no-box', f'{pair.key}: {n} without any coordinates'))
    for box in labels.boxes:
        points = np.reshape([p - offset[i % 2] for i, p in enumerate(box.points)], (-1, 2)).astype(float)
        shown = f'{pair.key}: {box.name} at {", ".join(f"{v:g}" for v in box.points)}'
        label = reader.class_of(box.name)
        if label is None:
            if box.name.lower() not in reader.known_strays:
                report.findings.append(('stray-class', f'{pair.key}: {shorten(box.name)}'))
            continue
        report.num_boxes[label] = report.num_boxes.get(label, 0) + 1
        upright = len(points) == 2
        if (upright and (points[1] <= points[0]).any()) or np.ptp(points, axis=0).min() < 0.5:
            report.findings.append(('empty-box', shown))
        elif (points < -slack).any() or (points > np.add(size, slack)).any():
            report.findings.append(('box-outside', shown))
        if (label, box.points) in seen and pair.key not in published.KNOWN_DUPLICATE_BOXES.get(
            reader.name, ()
        ):
            report.findings.append(('duplicate-box', shown))
        seen.add((label, box.points))
