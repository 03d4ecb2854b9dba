"""Where a detector fails: confusion matrix, AP by size and condition, the worst misses and false alarms."""

import argparse
import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

import numpy as np
from mmengine.config import Config

from mmslg.annotations import Annotations, read_annotations
from mmslg.apis.error_report import (
    WRONG,
    count_errors,
    draw_confusion,
    draw_error,
    draw_groups,
    figures_by_group,
    find_errors,
    worst_false_alarms,
    worst_misses,
)
from mmslg.apis.fiftyone_export import write_fiftyone
from mmslg.apis.inference import load_detector, predict
from mmslg.apis.launch import add_analysis_arguments, read_config
from mmslg.apis.profiling import box_type
from mmslg.errors import InputError
from mmslg.evaluation.functional import read_results
from mmslg.evaluation.functional.coco_ap import STATS
from mmslg.evaluation.functional.protocol import format_figures
from mmslg.utils.cli import parse_score, run
from mmslg.utils.io import check_folder, refuse_overwriting, write_json
from mmslg.utils.progress import progress_bar
from mmslg.visualization.boxes import Boxes
from mmslg.visualization.pair_visualizer import to_boxes
from mmslg.visualization.pairs import contact_sheet, write_picture
from mmslg.visualization.report_page import Panel, Section, write_html
from mmslg.visualization.samples import SPLITS, build_split, picture_folder


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_analysis_arguments(parser)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file, unless --dets is given')
    parser.add_argument('--dets', metavar='FILE', help='detections as a COCO result JSON; nothing is run')
    parser.add_argument('--split', choices=SPLITS, default='test', help='which pairs, never augmented [test]')
    parser.add_argument(
        '--score-thr', type=parse_score, default=0.3, help='lowest score that is an error [0.3]'
    )
    parser.add_argument('--by', nargs='+', default=[], metavar='FIELD', help='further fields to group AP by')
    parser.add_argument('--num', type=int, default=24, help='misses and false alarms on each sheet [24]')
    parser.add_argument('--out', metavar='DIR', help='folder [work_dirs/CONFIG/errors_SPLIT]')
    parser.add_argument('--fiftyone', metavar='DIR', help='also write a dataset that FiftyOne opens')
    return parser.parse_args()


def detect(cfg: Config, checkpoint: str, dataset) -> dict[int, Boxes]:
    """Run the detector on every pair; return boxes by image id."""
    model = load_detector(cfg, checkpoint)
    bar = progress_bar(len(dataset), 'pairs')
    found = {}
    for index in range(len(dataset)):
        packed = dataset[index]
        found[packed['data_samples'].img_id] = to_boxes(predict(model, packed))
        bar.update()
    return found


def read_boxes(path: str, annotations: Annotations, classes: list[str]) -> dict[int, Boxes]:
    """Read detections from a COCO result JSON; return boxes by image id. Other classes are left out."""
    names = {category['id']: category['name'] for category in annotations.data['categories']}
    rows: dict[int, list] = {}
    for one in read_results(path, annotations.data):
        if names[one['category_id']] in classes:
            x, y, w, h = one['bbox']
            corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
            label = classes.index(names[one['category_id']])
            rows.setdefault(one['image_id'], []).append((corners, label, one['score']))
    return {image: Boxes(*(np.array(part) for part in zip(*found))) for image, found in rows.items()}


def to_coco(found: dict[int, Boxes], annotations: Annotations, classes: list[str]) -> list[dict]:
    """Return detections in COCO form."""
    ids = {category['name']: category['id'] for category in annotations.data['categories']}
    return [
        dict(
            image_id=image,
            category_id=ids[classes[label]],
            bbox=[*polygon.min(0).tolist(), *np.ptp(polygon, 0).tolist()],
            score=float(score),
        )
        for image, boxes in found.items()
        for polygon, label, score in zip(boxes.polygons, boxes.labels, boxes.scores)
    ]


def main() -> None:
    """Detect or read, compare, draw and report."""
    args = parse_args()
    if (args.checkpoint is None) == (args.dets is None):
        raise InputError('wanted either CHECKPOINT, to detect, or --dets FILE with detections')
    if args.num < 1:
        raise InputError(f'--num {args.num}: wanted at least 1')
    folder = picture_folder(args, f'errors_{args.split}')
    refuse_overwriting(args.json, args.dets)
    if args.fiftyone is not None:
        check_folder(args.fiftyone, '--fiftyone')
    cfg = read_config(args.config, args.cfg_options)
    dataset = build_split(cfg, args.split, as_test=True)
    if not isinstance(getattr(dataset, 'ann_file', None), str):
        raise InputError(f'{args.config}: the {args.split} split is of several datasets; wanted one')
    annotations = read_annotations(dataset.ann_file, dataset.data_root or None)
    classes = list(dataset.metainfo['classes'])
    oriented = box_type(cfg) != 'hbox'
    if oriented and args.dets is not None:
        raise InputError(
            f'--dets {args.dets}: COCO results are upright boxes, {args.config} has oriented ones'
        )
    if args.dets is not None:
        found = read_boxes(args.dets, annotations, classes)
    else:
        found = detect(cfg, args.checkpoint, dataset)
    rows = find_errors(annotations, found, classes, args.score_thr, oriented)
    counts, kinds = count_errors(rows, classes)
    print(
        f'{len(rows)} pairs, from a score of {args.score_thr:g}: '
        + ', '.join(f'{n} {k}' for k, n in kinds.items())
    )
    panels = [Panel('confusion matrix', draw_confusion(counts, classes))]
    groups = {}
    if oriented:
        print('AP by group is for upright boxes; tools/test.py has that of oriented ones')
    else:
        detections = to_coco(found, annotations, classes)
        groups = figures_by_group(annotations.data, detections, classes, args.by)
        for name in args.by:
            if not any(group.startswith(f'{name}=') for group in groups):
                print(f'--by {name}: nothing in the annotations tells groups apart by it')
        table = [[name, row.num_images, *row.stats.values()] for name, row in groups.items()]
        print(format_figures(('group', 'images', *STATS), table))
        panels.append(Panel('AP by group', draw_groups(groups)))
    sections = [Section('What is taken for what, and where', _READ, panels, 2)]
    write_picture(folder / 'confusion.png', panels[0].picture)
    written = ['errors.html', 'confusion.png']
    for name, title, worst, miss in (
        ('misses', 'The largest misses', worst_misses(rows, args.num), True),
        ('false_alarms', 'The surest false alarms', worst_false_alarms(rows, args.num), False),
    ):
        tiles = [draw_error(row, index, classes, miss) for row, index in worst]
        if tiles:
            written.append(f'{name}.png')
            write_picture(folder / written[-1], contact_sheet(tiles, columns=4))
            sections.append(Section(title, _SHEETS, [Panel('', tile) for tile in tiles], 3))
    title = f'Errors of {args.checkpoint or args.dets} on {annotations.split}'
    write_html(folder / 'errors.html', title, sections)
    print(f'{", ".join(written)} in {folder}')
    if args.fiftyone is not None:
        files = write_fiftyone(args.fiftyone, rows, classes)
        print(f'{len(files)} files for FiftyOne in {args.fiftyone}')
    if args.json is not None:
        inputs = dict(config=args.config, checkpoint=args.checkpoint, dets=args.dets, split=args.split)
        figures = dict(errors=kinds, confusion=counts.tolist(), classes=classes)
        figures['groups'] = {name: row.to_dict() for name, row in groups.items()}
        write_json(args.json, inputs | dict(score_thr=args.score_thr) | figures, indent=2)


_READ = (
    'Rows: what is annotated; columns: what was found there with an IoU of 0.5 or more. The last row is '
    'what was found where nothing is left to find (' + ', '.join(WRONG[1:]) + '). AP counts all scores.'
)
_SHEETS = 'Visible on the left, infrared on the right; dashed in white: ground truth.'


if __name__ == '__main__':
    run(main)
