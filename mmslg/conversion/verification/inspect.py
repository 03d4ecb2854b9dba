"""Looking at one pair: both images decoded, its labels read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import cv2
import numpy as np

from mmslg.conversion.base import DatasetReader
from mmslg.conversion.layout import Labels, Layout, Pair
from mmslg.conversion.verification.shift import Shift, estimate_shift
from mmslg.errors import InputError
from mmslg.utils.image_io import probe_image, read_visible
from mmslg.utils.safe_text import shorten

MIN_COLOUR = 0.6
"""Deviation of colour differences below which an image counts as grey; infrared images stay below."""
MIN_CONTRAST = 1.0
"""Standard deviation below which an image counts as blank."""
DARK = 25
"""Mean below which a visible image may be grey, being taken at night."""


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
    shift: Shift | None = None
    label_size: tuple[int, int] | None = None
    num_boxes: dict[str, int] = field(default_factory=dict)


class _Inspector:
    """Looks at pairs; a worker process gets one, with the reader and all that the reader knows."""

    current: _Inspector

    def __init__(self, reader: DatasetReader, layout: Layout) -> None:
        self.reader = reader
        self.root = layout.root

    def inspect(self, task: tuple[str, Pair]) -> PairReport:
        split, pair = task
        report = PairReport(pair.key, split)
        present = [pair.visible, pair.infrared]
        if pair.label is None and not all(present):
            report.findings.append(('orphan-image', pair.visible or pair.infrared or pair.key))
        else:
            for path, what in zip((*present, pair.label), ('visible', 'infrared', 'label')):
                background = what == 'label' and self.reader.background_without_label
                if path is None and not background:
                    report.findings.append((f'missing-{what}', pair.key))
        images = [p and self._decode(p, i, report) for i, p in enumerate(present)]
        if images[0] is not None and images[1] is not None:
            self._compare(images[0], images[1], report)
        if pair.label is not None:
            self._check_labels(pair, report)
        return report

    def _content(self, image: np.ndarray) -> np.ndarray:
        """Return what is inside a border."""
        crop = self.reader.crop_of(Labels(()), image.shape[1::-1])
        if crop is None:
            return image
        x, y, w, h = crop
        return image[y : y + h, x : x + w]

    def _decode(self, path: str, index: int, report: PairReport) -> np.ndarray | None:
        _, problem = probe_image(self.root / path)
        try:
            image = read_visible(self.root / path)  # in colour, which shows whether the two were swapped
        except InputError:
            report.findings.append(('truncated' if problem == 'truncated' else 'unreadable', path))
            return None
        report.sizes[index] = image.shape[1], image.shape[0]
        if self._content(image).std() < MIN_CONTRAST:
            report.findings.append(('blank-image', path))
        return image

    def _compare(self, visible: np.ndarray, infrared: np.ndarray, report: PairReport) -> None:
        report.digests = [
            hashlib.blake2b(i.tobytes(), digest_size=16).hexdigest() for i in (visible, infrared)
        ]
        sizes = [f'{w}x{h}' for w, h in report.sizes]
        if sizes[0] != sizes[1]:
            detail = f'{report.key}: visible {sizes[0]}, infrared {sizes[1]}'
            report.findings.append(('size-mismatch', detail))
            return
        if any(kind == 'blank-image' for kind, _ in report.findings):
            return
        if report.digests[0] == report.digests[1]:
            report.findings.append(('same-image', report.key))
            return
        for kind, detail in self.reader.check_images(visible, infrared):
            report.findings.append((kind, f'{report.key}: {detail}'))
        visible, infrared = self._content(visible), self._content(infrared)
        report.dark = float(visible.mean()) < DARK
        report.colours = [_colour(visible), _colour(infrared)]
        report.shift = estimate_shift(*(cv2.cvtColor(i, cv2.COLOR_BGR2GRAY) for i in (visible, infrared)))

    def _check_labels(self, pair: Pair, report: PairReport) -> None:
        reader = self.reader
        try:
            labels = reader.read_labels(self.root, pair)
        except InputError as error:
            report.findings.append(('bad-label', str(error).replace(f'{self.root}/', '')))
            return
        report.label_size = labels.size
        image_size = report.sizes[0] or report.sizes[1]
        size = reader.content_size(labels, image_size) or (np.inf, np.inf)
        offset = reader.offset_of(labels, image_size)
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
            elif (points < -reader.overshoot).any() or (points > np.add(size, reader.overshoot)).any():
                report.findings.append(('box-outside', shown))
            if (label, box.points) in seen and pair.key not in reader.known_duplicates:
                report.findings.append(('duplicate-box', shown))
            seen.add((label, box.points))


def inspect_layout(
    reader: DatasetReader, layout: Layout, workers: int, progress: Callable[[int], None]
) -> list[PairReport]:
    """Inspect every pair in parallel; ``progress`` is called with the number done."""
    tasks = [(split, pair) for split, pairs in layout.splits.items() for pair in pairs]
    inspector = _Inspector(reader, layout)
    if workers <= 1 or len(tasks) < 16:
        return _collect(map(inspector.inspect, tasks), progress)
    with ProcessPoolExecutor(workers, get_context('spawn'), _start_worker, (inspector,)) as pool:
        return _collect(pool.map(_inspect, tasks, chunksize=8), progress)


def _start_worker(inspector: _Inspector) -> None:
    cv2.setNumThreads(1)
    _Inspector.current = inspector


def _inspect(task: tuple[str, Pair]) -> PairReport:
    return _Inspector.current.inspect(task)


def _collect(reports: Iterable[PairReport], progress: Callable[[int], None]) -> list[PairReport]:
    collected = []
    for report in reports:
        collected.append(report)
        progress(len(collected))
    return collected


def _colour(image: np.ndarray) -> float:
    """Return how much colour differences vary; a constant cast counts as none."""
    blue, green, red = (image[::4, ::4, i].astype(np.float32) for i in range(3))
    return round(float(((blue - green).std() + (red - green).std()) / 2), 3)
