"""COCO's mAP of one or more files of detections, with the protocol, by class and by time of day."""

from __future__ import annotations

import argparse

from mmslg.annotations import read_annotations
from mmslg.errors import InputError
from mmslg.evaluation.functional import (
    Protocol,
    evaluate_by_condition,
    format_coco,
    load_truth,
    name_methods,
    notes_on_truth,
    read_results,
)
from mmslg.evaluation.functional.coco_ap import METRIC
from mmslg.utils.cli import run
from mmslg.utils.io import refuse_overwriting, write_json


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


def main() -> None:
    """Read, evaluate and report."""
    args = parse_args()
    files = name_methods(args.dets)
    refuse_overwriting(args.json, args.gt, *args.dets)
    annotations = read_annotations(args.gt)
    classes = args.classes or annotations.classes
    unknown = [name for name in classes if name not in annotations.classes]
    if unknown:
        raise InputError(f'--classes {unknown[0]}: the annotations have {", ".join(annotations.classes)}')
    split = f'{annotations.split} ({args.gt})'
    print(Protocol(METRIC, split, len(annotations.pairs), annotations.label_modality, classes))
    passed = [f'let pass: {annotations.remarks()}'] if annotations.tolerated else []
    for line in (*passed, *notes_on_truth(annotations.data)):
        print(line)
    truth = load_truth(annotations.data)
    figures = {}
    for name, path in files.items():
        detections = read_results(path, annotations.data)
        found = len({detection['image_id'] for detection in detections})
        print(f'\n{name}: {len(detections)} detections in {found} of {len(annotations.pairs)} images')
        flat = sum(min(detection['bbox'][2:]) <= 0 for detection in detections)
        if flat:
            print(f'{flat} boxes without area count as false positives')
        rows = evaluate_by_condition(truth, detections, classes)
        print(format_coco(rows))
        figures[name] = {condition: row.to_dict() for condition, row in rows.items()}
    if args.json is not None:
        write_json(args.json, figures, indent=2)
        print(f'figures in {args.json}')


if __name__ == '__main__':
    run(main)
