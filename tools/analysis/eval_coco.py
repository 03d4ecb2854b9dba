"""COCO's mAP of one or more files of detections, with the protocol, by class and by time of day."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from pathlib import Path

from mmslg.errors import InputError
from mmslg.evaluation.functional import Protocol, evaluate_by_condition, format_coco, load_truth
from mmslg.evaluation.functional.coco_ap import METRIC
from mmslg.utils.cli import run
from mmslg.utils.io import read_json, write_json


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--gt', required=True, metavar='GT', help='annotations in COCO form')
    parser.add_argument(
        '--dets', required=True, nargs='+', metavar='FILE', help='detections as a COCO result JSON'
    )
    parser.add_argument(
        '--classes', nargs='+', metavar='NAME', help='the categories that count [all of the annotations]'
    )
    parser.add_argument('--json', metavar='OUT', help='write the figures to this file')
    return parser.parse_args()


def read_truth(path: str) -> dict:
    """Read annotations.

    Raises:
        InputError: They are not in COCO form.
    """
    data = read_json(path)
    if not isinstance(data, dict) or not all(
        isinstance(data.get(key), list) and data[key] for key in ('images', 'annotations', 'categories')
    ):
        raise InputError(f'{path}: wanted COCO form with images, annotations and categories')
    for annotation in data['annotations']:
        if 'area' not in annotation and _is_box(annotation.get('bbox')):
            annotation['area'] = annotation['bbox'][2] * annotation['bbox'][3]
        lacks = [k for k in ('id', 'image_id', 'category_id', 'bbox', 'area') if k not in annotation]
        if lacks or not _is_box(annotation['bbox']):
            what = f'lacks {", ".join(lacks)}' if lacks else 'has no box of four numbers'
            raise InputError(f'{path}: annotation {annotation.get("id")} {what}')
        annotation.setdefault('iscrowd', 0)
    return data


def read_detections(path: str, truth: dict) -> list[dict]:
    """Read detections, and refuse what does not belong to the annotations.

    Raises:
        InputError: The file is no COCO result, or one of its lines is no good.
    """
    data = read_json(path)
    if isinstance(data, dict) and isinstance(data.get('annotations'), list):
        data = data['annotations']
    if not isinstance(data, list):
        raise InputError(f'{path}: wanted a list of detections with image_id, category_id, bbox and score')
    images = {image['id'] for image in truth['images']}
    categories = {category['id'] for category in truth['categories']}
    for number, detection in enumerate(data, 1):
        problem = _problem(detection, images, categories)
        if problem:
            raise InputError(f'{path}: detection {number} {problem}')
    return data


def _problem(detection: object, images: set, categories: set) -> str:
    if not isinstance(detection, dict):
        return 'is no object'
    lacks = [k for k in ('image_id', 'category_id', 'bbox', 'score') if k not in detection]
    if lacks:
        return f'lacks {", ".join(lacks)}'
    if not _is_box(detection['bbox']) or not _is_finite(detection['score']):
        return 'has no box of four finite numbers and a finite score'
    if detection['image_id'] not in images:
        return f'is of image {detection["image_id"]!r}, which the annotations do not list'
    if detection['category_id'] not in categories:
        known = ', '.join(map(str, sorted(categories)))
        return f'is of category {detection["category_id"]!r}; the annotations have {known}'
    return ''


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_box(box: object) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(map(_is_finite, box))


def main() -> None:
    """Read, evaluate and report."""
    args = parse_args()
    stems = [Path(path).stem for path in args.dets]
    twice = [stem for stem, number in Counter(stems).items() if number > 1]
    if twice:
        raise InputError(f'--dets: several are called {twice[0]}; rename all but one')
    data = read_truth(args.gt)
    names = [category['name'] for category in data['categories']]
    unknown = [name for name in args.classes or () if name not in names]
    if unknown:
        raise InputError(f'--classes {unknown[0]}: the annotations have {", ".join(names)}')
    classes = args.classes or names
    info = data.get('info') or {}
    split = f'{info["split"]} ({args.gt})' if 'split' in info else args.gt
    modality = info.get('label_modality', 'unknown')
    print(Protocol(METRIC, split, len(data['images']), modality, classes))
    truth = load_truth(data)
    figures = {}
    for stem, path in zip(stems, args.dets):
        detections = read_detections(path, data)
        found = len({detection['image_id'] for detection in detections})
        print(f'\n{stem}: {len(detections)} detections in {found} of {len(data["images"])} images')
        rows = evaluate_by_condition(truth, detections, classes)
        print(format_coco(rows))
        figures[stem] = {condition: row.to_dict() for condition, row in rows.items()}
    if args.json:
        write_json(args.json, figures, indent=2)
        print(f'figures in {args.json}')


if __name__ == '__main__':
    run(main)
