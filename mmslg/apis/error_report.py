"""The errors of a detector on a split: gathered, counted by group, drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from mmcv.ops import box_iou_quadri
from torchvision.ops import box_iou

from mmslg.annotations import Annotations, ImagePair, corners_of
from mmslg.evaluation.functional import CocoFigures, evaluate_coco, load_truth
from mmslg.evaluation.functional.errors import KINDS, ImageErrors, confusion_matrix, sort_errors
from mmslg.utils.image_io import read_infrared, read_visible, to_8bit
from mmslg.visualization.boxes import WHITE, Boxes, draw_boxes
from mmslg.visualization.figures import picture_of
from mmslg.visualization.pairs import side_by_side
from mmslg.visualization.palette import class_colour

IMAGE_FIELDS = ('time', 'condition')
BOX_FIELDS = ('occlusion', 'visible_in')
MAX_GROUPS = 12
WRONG = ('confused', 'duplicate', 'misplaced', 'background')
TILE = 220
"""Side of a picture of an error, pixels."""


@dataclass(frozen=True)
class PairErrors:
    """Detections from a score on and ground truth of one pair.

    Args:
        pair: The pair.
        found: Detections, in pixels of the (cropped) image.
        truth: Ground truth, likewise.
        errors: What became of both.
        annotations: The annotation of each box of the ground truth.
    """

    pair: ImagePair
    found: Boxes
    truth: Boxes
    errors: ImageErrors
    annotations: Sequence[Mapping] = field(default_factory=list)


def find_errors(
    annotations: Annotations,
    found: Mapping[int, Boxes],
    classes: Sequence[str],
    score_thr: float,
    oriented: bool = False,
) -> list[PairErrors]:
    """Compare detections with the ground truth of a split.

    Args:
        annotations: The split.
        found: Detections by image id; a pair that is not there has none.
        classes: Class names in the order of the labels; boxes of others are left out.
        score_thr: Lowest score that counts.
        oriented: Compare with the corners of oriented boxes, not with their bbox.
    """
    names = {category['id']: category['name'] for category in annotations.data['categories']}
    by_image: dict[int, list[dict]] = {pair.id: [] for pair in annotations.pairs}
    for box in annotations.data['annotations']:
        if names[box['category_id']] in classes:
            by_image[box['image_id']].append(box)
    rows = []
    for pair in annotations.pairs:
        boxes = by_image[pair.id]
        labels = np.array([classes.index(names[box['category_id']]) for box in boxes], int)
        truth = Boxes(np.array([_polygon(box, oriented) for box in boxes]).reshape(-1, 4, 2), labels)
        detected = found.get(pair.id, Boxes(np.zeros((0, 4, 2)), np.zeros(0, int), np.zeros(0)))
        kept = detected.scores >= score_thr
        detected = Boxes(*(part[kept] for part in detected))
        ignored = np.array([bool(box.get('iscrowd') or box.get('ignore')) for box in boxes], bool)
        ious = overlaps(detected.polygons, truth.polygons, oriented)
        errors = sort_errors(detected.scores, detected.labels, labels, ignored, ious)
        rows.append(PairErrors(pair, detected, truth, errors, boxes))
    return rows


def _polygon(box: Mapping, oriented: bool) -> np.ndarray:
    corners = corners_of(box) if oriented else None
    if corners is None:
        x, y, width, height = box['bbox']
        corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    return np.reshape(np.asarray(corners, float), (4, 2))


def overlaps(first: np.ndarray, second: np.ndarray, oriented: bool) -> np.ndarray:
    """Return the IoU of boxes given by their corners, ``(N, 4, 2)`` and ``(M, 4, 2)``: ``(N, M)``."""
    if not (len(first) and len(second)):
        return np.zeros((len(first), len(second)))
    pair = [torch.from_numpy(np.ascontiguousarray(boxes)).float() for boxes in (first, second)]
    if oriented:
        return box_iou_quadri(*(boxes.flatten(1) for boxes in pair)).numpy()
    return box_iou(*(torch.cat([boxes.amin(1), boxes.amax(1)], 1) for boxes in pair)).numpy()


def count_errors(rows: Iterable[PairErrors], classes: Sequence[str]) -> tuple[np.ndarray, dict[str, int]]:
    """Return the confusion matrix, and how many detections are of each kind and boxes are ``missed``."""
    rows = list(rows)
    images = [(row.errors, row.found.labels, row.truth.labels) for row in rows]
    kinds = Counter(KINDS[kind] for row in rows for kind in row.errors.kinds)
    counts = {kind: kinds[kind] for kind in KINDS} | {'missed': sum(int(r.errors.missed.sum()) for r in rows)}
    return confusion_matrix(images, len(classes)), counts


def figures_by_group(
    data: dict, detections: Sequence[dict], classes: Sequence[str], fields: Sequence[str] = ()
) -> dict[str, CocoFigures]:
    """Evaluate all pairs, and groups by what the annotations say of images and boxes.

    For a group of boxes, those of other groups are crowds to the evaluation: neither hits nor misses.

    Args:
        data: Annotations in COCO form.
        detections: In COCO form.
        classes: Names of the categories that count.
        fields: Fields of images or annotations beside ``IMAGE_FIELDS`` and ``BOX_FIELDS``.

    Returns:
        Figures by group: ``all``, ``time=night``, ``occlusion=1``, ...
    """
    truth = load_truth(data)
    rows = {'all': evaluate_coco(truth, detections, classes)}
    for name in (*IMAGE_FIELDS, *fields):
        for value in _values(data['images'], name):
            ids = [image['id'] for image in data['images'] if image.get(name) == value]
            rows[f'{name}={value}'] = evaluate_coco(truth, detections, classes, ids)
    for name in (*BOX_FIELDS, *fields):
        for value in _values(data['annotations'], name):
            boxes = [dict(b, iscrowd=int(b['iscrowd'] or b.get(name) != value)) for b in data['annotations']]
            group = load_truth(dict(data, annotations=boxes))
            rows[f'{name}={value}'] = evaluate_coco(group, detections, classes)
    return rows


def _values(entries: Sequence[Mapping], name: str) -> list:
    """Return the values of a field, none where it tells no groups apart."""
    values = {entry.get(name) for entry in entries if isinstance(entry.get(name), (str, int))}
    return sorted(values, key=str) if 1 < len(values) <= MAX_GROUPS else []


def draw_confusion(counts: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Draw a confusion matrix, shaded by the share of the row."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.2 + 0.62 * len(counts)
    with picture_of(figsize=(side + 0.8, side)) as (figure, result):
        axes = figure.add_subplot()
        axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            colour = 'white' if shares[row, column] > 0.6 else 'black'
            axes.text(column, row, str(count), ha='center', va='center', fontsize=10, color=colour)
        axes.set_xticks(range(len(counts)), [*classes, 'missed'], rotation=40, ha='right')
        axes.set_yticks(range(len(counts)), [*classes, 'nothing'])
        axes.set_xlabel('found')
        axes.set_ylabel('annotated')
        axes.tick_params(length=0)
    return result[0]


def draw_groups(rows: Mapping[str, CocoFigures]) -> np.ndarray:
    """Draw the AP at IoU 0.50 of each group, and the mAP by size of all, as bars."""
    values = {name: row.stats['mAP_50'] for name, row in rows.items()}
    sizes = (('small', 'mAP_s'), ('medium', 'mAP_m'), ('large', 'mAP_l'))
    values |= {f'{name} (mAP)': rows['all'].stats[key] for name, key in sizes}
    known = {name: value for name, value in values.items() if value == value}
    with picture_of(figsize=(6.4, 0.8 + 0.3 * len(known))) as (figure, result):
        axes = figure.add_subplot()
        axes.barh(range(len(known)), known.values(), color='#0072B2', height=0.7)
        for y, value in enumerate(known.values()):
            axes.text(value + 0.01, y, f'{value:.3f}', va='center', fontsize=8)
        axes.set_yticks(range(len(known)), known, fontsize=9)
        axes.set_ylim(len(known) - 0.4, -0.6)
        axes.set_xlim(0, 1.1)
        axes.set_xlabel('AP at IoU 0.50; by size mAP', fontsize=9)
        axes.spines[['top', 'right']].set_visible(False)
    return result[0]


def worst_misses(rows: Iterable[PairErrors], num: int) -> list[tuple[PairErrors, int]]:
    """Return the largest missed boxes, as pair and place in its ground truth."""
    missed = [(row, int(i)) for row in rows for i in np.flatnonzero(row.errors.missed)]
    return sorted(missed, key=lambda one: -_area(one[0].truth.polygons[one[1]]))[:num]


def worst_false_alarms(rows: Iterable[PairErrors], num: int) -> list[tuple[PairErrors, int]]:
    """Return the surest wrong detections, as pair and place among its detections."""
    wrong = [KINDS.index(kind) for kind in WRONG]
    alarms = [(row, int(i)) for row in rows for i in np.flatnonzero(np.isin(row.errors.kinds, wrong))]
    return sorted(alarms, key=lambda one: -one[0].found.scores[one[1]])[:num]


def _area(polygon: np.ndarray) -> float:
    return float(cv2.contourArea(polygon.astype(np.float32)))


def draw_error(row: PairErrors, index: int, classes: Sequence[str], miss: bool) -> np.ndarray:
    """Draw both images around a missed box, dashed, or a wrong detection beside the ground truth."""
    boxes = row.truth if miss else row.found
    polygon, name = boxes.polygons[index], classes[boxes.labels[index]]
    (x1, y1), (x2, y2) = polygon.min(0), polygon.max(0)
    if miss:
        title = f'{name} {x2 - x1:.0f}x{y2 - y1:.0f}, {row.pair.key}'
    else:
        title = f'{name} {boxes.scores[index]:.2f} {KINDS[row.errors.kinds[index]]}, {row.pair.key}'
    side = max(2 * (x2 - x1), 2 * (y2 - y1), 64)
    corner = np.array([(x1 + x2 - side) / 2, (y1 + y2 - side) / 2])
    crop = row.pair.crop
    visible = read_visible(row.pair.visible, crop)
    infrared = cv2.cvtColor(to_8bit(read_infrared(row.pair.infrared, crop)), cv2.COLOR_GRAY2BGR)
    scale = TILE / side
    move = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    tiles = []
    for picture in (visible, infrared):
        tile = cv2.warpAffine(picture, move, (TILE, TILE), borderValue=(90, 90, 90))
        truth = (row.truth.polygons - corner) * scale
        tile = draw_boxes(tile, truth, [WHITE] * len(truth), dashed=True, thickness=1)
        colour = class_colour(boxes.labels[index])
        tiles.append(draw_boxes(tile, (polygon[None] - corner) * scale, [colour], dashed=miss))
    return side_by_side(*tiles, title)
