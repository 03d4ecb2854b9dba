"""Average precision as COCO defines it, by condition and by class."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmslg.errors import InputError
from mmslg.evaluation.functional.protocol import format_figures, images_by_condition
from mmslg.utils.io import read_json
from mmslg.utils.safe_text import MAX_COORDINATE, finite

if TYPE_CHECKING:
    from faster_coco_eval import COCO

METRIC = 'COCO mAP, IoU 0.50:0.95, mean over 101 recall points, 100 detections an image'
RESULT_KEYS = ('image_id', 'category_id', 'bbox', 'score')
_NAMED = (('images', 'file_name'), ('categories', 'name'))
STATS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class; NaN where it has no ground truth.

    Args:
        boxes: Boxes of the ground truth that count.
        ap: AP over IoU 0.50:0.95.
        ap_50: AP at IoU 0.50.
    """

    boxes: int
    ap: float
    ap_50: float


@dataclass(frozen=True)
class CocoFigures:
    """Figures over some images.

    Args:
        num_images: How many.
        stats: The six figures of ``STATS``; NaN where nothing counts.
        classes: By class name.
    """

    num_images: int
    stats: dict[str, float]
    classes: dict[str, ClassFigures]

    def to_dict(self) -> dict:
        """Return plain values, None for NaN."""
        return {
            'images': self.num_images,
            **{name: _plain(value) for name, value in self.stats.items()},
            'classes': {
                name: {'boxes': c.boxes, 'AP': _plain(c.ap), 'AP_50': _plain(c.ap_50)}
                for name, c in self.classes.items()
            },
        }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def load_truth(data: dict) -> COCO:
    """Return the index that the evaluation wants of annotations in COCO form.

    Annotations are numbered anew: the evaluation takes an id below 1 for a box that was not matched.
    """
    from faster_coco_eval import COCO  # brings OpenCV, which the other metrics do not wait for

    annotations = [dict(annotation, id=n) for n, annotation in enumerate(data['annotations'], 1)]
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(dict(data, annotations=annotations))


def notes_on_truth(data: dict) -> list[str]:
    """Say what one should know of annotations before figures on them are compared with others."""
    notes = []
    if any(annotation['id'] == 0 for annotation in data['annotations']):
        notes.append('annotation 0: pycocotools counts a detection of it as wrong, here it is right')
    ignored = sum(bool(annotation.get('ignore')) for annotation in data['annotations'])
    if ignored:
        notes.append(f'{ignored} boxes are marked ignore, and count like any other, as for pycocotools')
    return notes


def read_results(path: str | os.PathLike, truth: dict) -> list[dict]:
    """Read detections from a COCO result JSON, and refuse what does not belong to the annotations.

    Where the file names its images or categories, as that of ``tools/infer.py`` does, they are told by these
    names, whatever their ids; else by the ids of the annotations.

    Args:
        path: A list of detections, or an object that holds one under ``annotations``.
        truth: Annotations in COCO form that have been checked.

    Returns:
        ``image_id``, ``category_id``, ``bbox`` and ``score`` of each, with the ids of the annotations.

    Raises:
        InputError: The file is no such list, or an entry is no good; the message numbers it from 1.
    """
    data = read_json(path)
    data = data if isinstance(data, dict) else {'annotations': data}
    detections = data.get('annotations')
    if not isinstance(detections, list):
        raise InputError(f'{path}: wanted a list of detections with image_id, category_id, bbox and score')
    parts = [(_names(data.get(p), key), _names(truth[p], key)) for p, key in _NAMED]
    ids = {'image_id': _image_ids(*parts[0]), 'category_id': _category_ids(*parts[1])}
    images = {image['id'] for image in truth['images']}
    categories = {category['id']: category['name'] for category in truth['categories']}
    rows = []
    for n, detection in enumerate(detections, 1):
        if isinstance(detection, dict):
            detection = {key: detection[key] for key in RESULT_KEYS if key in detection}
            for key, known in ids.items():
                if known and type(detection.get(key)) is int:
                    detection[key] = known.get(detection[key], str(detection[key]))
        problem = _problem(detection, images, categories)
        if problem:
            raise InputError(f'{path}: detection {n} {problem}')
        rows.append(detection)
    return rows


def _names(entries: object, key: str) -> dict[int, str]:
    """Return the names of a file's images or categories by id; nothing if one has none."""
    known = isinstance(entries, list) and all(
        isinstance(e, dict) and type(e.get('id')) is int and isinstance(e.get(key), str) for e in entries
    )
    return {entry['id']: entry[key] for entry in entries} if known else {}


def _image_ids(found: dict[int, str], own: dict[int, str]) -> dict[int, int | str]:
    """Return the annotations' id of each id of a file, and the name itself where they have none.

    Names may differ by a folder in front, which all lack or all have too much: that which fits most of them.
    """
    ids = {name: number for number, name in own.items()}
    lacking: dict[str, list[tuple[str, str]]] = {}
    for name in ids:
        for folder, rest in _ends(name):
            lacking.setdefault(rest, []).append((folder, ''))
    fits: dict[tuple[str, str], dict[int, int]] = {('', ''): {}}
    for number, name in found.items():
        path = name.replace('\\', '/')
        ways = [('', folder) for folder, rest in _ends(path) if rest in ids] + lacking.get(path, [])
        for added, taken in [('', '')] * (path in ids) + ways:
            fits.setdefault((added, taken), {})[number] = ids[added + path.removeprefix(taken)]
    most = max(map(len, fits.values()))
    best = [fit for fit in fits.values() if len(fit) == most]
    chosen = best[0] if len(best) == 1 or best[0] is fits['', ''] else {}
    return {number: chosen.get(number, name) for number, name in found.items()}


def _ends(path: str) -> list[tuple[str, str]]:
    """Return the ways to part a path into the folder in front and the rest."""
    return [(path[: n + 1], path[n + 1 :]) for n, letter in enumerate(path) if letter == '/']


def _category_ids(found: dict[int, str], own: dict[int, str]) -> dict[int, int | str]:
    """Return the annotations' id of each id of a file, capitals or not, and the name where they have none."""
    ids = {name.casefold(): number for number, name in own.items()}
    ids |= {name: number for number, name in own.items()}
    return {number: ids.get(name, ids.get(name.casefold(), name)) for number, name in found.items()}


def _problem(detection: object, images: set[int], categories: dict[int, str]) -> str:
    if not isinstance(detection, dict):
        return 'is no object'
    lacks = [key for key in RESULT_KEYS if key not in detection]
    if lacks:
        return f'lacks {", ".join(lacks)}'
    image, category, box, score = (detection[key] for key in RESULT_KEYS)
    if finite(box, 4) is None or finite([score], 1) is None:
        return 'has no box of four finite numbers and a finite score'
    if max(map(abs, box)) > MAX_COORDINATE:
        return f'has a box that reaches beyond {MAX_COORDINATE} pixels'
    if type(image) is not int or image not in images:
        advice = '; give its name there, or a plain list, which goes by ids' if isinstance(image, str) else ''
        return f'is of image {ascii(image)[:40]}, which the annotations do not list{advice}'
    if type(category) is not int or category not in categories:
        known = ', '.join(f'{number} {name}' for number, name in sorted(categories.items()))
        return f'is of category {ascii(category)[:40]}; the annotations have {known}'
    return ''


def evaluate_coco(
    truth: COCO,
    detections: Sequence[dict],
    classes: Sequence[str],
    image_ids: Sequence[int] | None = None,
) -> CocoFigures:
    """Evaluate detections.

    Args:
        truth: What :func:`load_truth` returned.
        detections: ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in pixels), ``score``.
        classes: Names of the categories that count.
        image_ids: The images that count; None is all of them.
    """
    from faster_coco_eval import COCOeval_faster

    ids = {category['name']: category['id'] for category in truth.dataset['categories']}
    category_ids = [ids[name] for name in classes]
    image_ids = truth.getImgIds() if image_ids is None else list(image_ids)
    chosen = set(image_ids)
    counts = dict.fromkeys(category_ids, 0)
    for annotation in truth.dataset['annotations']:
        if annotation['category_id'] in counts and annotation['image_id'] in chosen:
            counts[annotation['category_id']] += not annotation.get('iscrowd')
    kept = [d for d in detections if d['image_id'] in chosen and d['category_id'] in counts]
    if not kept:
        none = {name: _absent(counts[c]) for name, c in zip(classes, category_ids)}
        total = _absent(sum(counts.values())).ap
        stats = {name: total if name in STATS[:3] else math.nan for name in STATS}
        return CocoFigures(len(image_ids), stats, none)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval_faster(truth, truth.loadRes(kept), 'bbox')
        evaluation.params.catIds = category_ids
        evaluation.params.imgIds = image_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval['precision'][:, :, :, 0, -1]  # IoU, recall, class; all areas, 100 detections
    figures = {
        name: ClassFigures(counts[c], _mean(precision[:, :, k]), _mean(precision[0, :, k]))
        for k, (name, c) in enumerate(zip(classes, category_ids))
    }
    stats = {name: float(v) if v >= 0 else math.nan for name, v in zip(STATS, evaluation.stats[:6])}
    return CocoFigures(len(image_ids), stats, figures)


def _absent(count: int) -> ClassFigures:
    value = 0.0 if count else math.nan
    return ClassFigures(count, value, value)


def _mean(precision: np.ndarray) -> float:
    precision = precision[precision > -1]
    return float(precision.mean()) if precision.size else math.nan


def evaluate_by_condition(
    truth: COCO, detections: Sequence[dict], classes: Sequence[str]
) -> dict[str, CocoFigures]:
    """Evaluate all images (``all``), and those by ``day`` and ``night`` where the annotations know it."""
    times = {image['id']: image.get('time') for image in truth.dataset['images']}
    rows = {'all': evaluate_coco(truth, detections, classes)}
    for name, ids in images_by_condition(times).items():
        rows[name] = evaluate_coco(truth, detections, classes, ids)
    return rows


def format_coco(rows: Mapping[str, CocoFigures]) -> str:
    """Format the figures by condition, and below the classes over all images."""
    table = [[name, row.num_images, *row.stats.values()] for name, row in rows.items()]
    classes = [[name, c.boxes, c.ap, c.ap_50] for name, c in rows['all'].classes.items()]
    absent = [name for name, c in rows['all'].classes.items() if not c.boxes]
    lines = [
        format_figures(('images', 'number', *STATS), table),
        '',
        format_figures(('class', 'boxes', 'AP', 'AP_50'), classes),
    ]
    if absent:
        lines.append(f'no ground truth of {", ".join(absent)}: left out of every mean')
    return '\n'.join(lines)
