"""A split with its predictions as FiftyOne reads it, without FiftyOne."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mmslg.apis.error_report import PairErrors
from mmslg.errors import InputError
from mmslg.evaluation.functional.errors import KINDS
from mmslg.utils.image_io import probe_image
from mmslg.utils.io import write_json
from mmslg.visualization.boxes import Boxes

FILES = 'data.json', 'ground_truth.json', 'predictions.json'
_NOT_ATTRIBUTES = ('id', 'image_id', 'category_id', 'bbox', 'segmentation')


def write_fiftyone(
    folder: str | os.PathLike, rows: Iterable[PairErrors], classes: Sequence[str]
) -> list[Path]:
    """Write a ``FiftyOneImageDetectionDataset`` for each modality; images stay where they are.

    A modality's folder holds ``data.json``, which names the image of each pair, and labels by pair:
    ``ground_truth.json``, with what the annotations say of a box as attributes, and ``predictions.json``,
    with what became of each, ``hit``, ``confused``, ... Boxes are in parts of the whole file, also where a
    crop counts; of an oriented box it is the upright one around it.

    Args:
        folder: Where ``visible/`` and ``infrared/`` are written.
        rows: The pairs.
        classes: Class names.

    Returns:
        The files.

    Raises:
        InputError: An image cannot be read.
    """
    rows = list(rows)
    files = []
    for modality in ('visible', 'infrared'):
        images = {row.pair.key: os.path.abspath(getattr(row.pair, modality)) for row in rows}
        truth, found = {}, {}
        for row in rows:
            size, problem = probe_image(images[row.pair.key])
            if size is None:
                raise InputError(f'{images[row.pair.key]}: the {modality} image is {problem}')
            left_top = (row.pair.crop or (0, 0))[:2]
            attributes = [
                {k: v for k, v in box.items() if k not in _NOT_ATTRIBUTES and _is_plain(v)}
                | {k: v for k, v in (('time', row.pair.time),) if v}
                | dict(missed=bool(missed))
                for box, missed in zip(row.annotations, row.errors.missed)
            ]
            kinds = [dict(kind=KINDS[kind]) for kind in row.errors.kinds]
            name = os.path.splitext(row.pair.key)[0]  # FiftyOne's names have no ending
            truth[name] = _labels(row.truth, attributes, classes, left_top, size)
            found[name] = _labels(row.found, kinds, classes, left_top, size)
        contents = images, *(dict(classes=list(classes), labels=labels) for labels in (truth, found))
        for name, content in zip(FILES, contents):
            files.append(Path(folder, modality, name))
            write_json(files[-1], content)
    return files


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, int, float, bool))


def _labels(
    boxes: Boxes,
    attributes: Sequence[Mapping],
    classes: Sequence[str],
    left_top: Sequence[int],
    size: tuple[int, int],
) -> list[dict]:
    """Return boxes as FiftyOne's: x, y, width, height in parts of the image."""
    labels = []
    for i, polygon in enumerate(boxes.polygons):
        corner = (polygon.min(0) + left_top) / size
        extent = np.ptp(polygon, 0) / size
        label = dict(
            label=classes[boxes.labels[i]], bounding_box=[round(float(v), 6) for v in (*corner, *extent)]
        )
        if boxes.scores is not None:
            label['confidence'] = round(float(boxes.scores[i]), 4)
        labels.append(label | dict(attributes=dict(attributes[i])))
    return labels
