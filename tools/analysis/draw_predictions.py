"""Draw what a trained detector finds: both modalities with predictions and ground truth."""

import argparse
from pathlib import Path

import numpy as np

from mmslg.apis.inference import load_detector, predict
from mmslg.apis.launch import add_analysis_arguments, checked_checkpoint, read_config
from mmslg.errors import InputError
from mmslg.utils.cli import run
from mmslg.utils.io import write_json
from mmslg.utils.progress import Progress
from mmslg.visualization.pairs import add_legend, class_colour, draw_boxes, side_by_side, to_polygons
from mmslg.visualization.samples import (
    SPLITS,
    WHITE,
    box_array,
    box_records,
    boxes_follow_picture,
    build_split,
    enlarge_pair,
    picture_name,
    write_pages,
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_analysis_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--split', choices=SPLITS, default='test', help='which pairs, never augmented [test]')
    parser.add_argument('--num', type=int, default=8, help='number of pairs, evenly spread [8]')
    parser.add_argument('--score-thr', type=float, default=0.3, help='lowest score that is drawn [0.3]')
    parser.add_argument('--out', metavar='DIR', help='folder [work_dirs/CONFIG/predictions_SPLIT]')
    return parser.parse_args()


def draw_result(
    packed: dict, found: tuple, truth: tuple, classes: tuple, title: str, scales: tuple
) -> np.ndarray:
    """Draw one pair.

    Args:
        packed: The packed sample.
        found: Boxes, labels and scores of the predictions.
        truth: Boxes and labels of the ground truth.
        classes: Class names.
        title: Line above the pictures.
        scales: From pixels of either kind of boxes to pixels of the packed image, each (x, y).
    """
    visible, infrared, factor = enlarge_pair(packed['inputs']['img'])
    order = np.argsort(-found[2])  # labels of the surest boxes find room first
    polygons = to_polygons(found[0])[order] * scales[0] * factor
    labels = found[1][order]
    texts = [f'{classes[label]} {score:.2f}' for label, score in zip(labels, found[2][order])]
    marks = to_polygons(truth[0]) * scales[1] * factor
    pictures = []
    for picture in (visible, infrared):
        picture = draw_boxes(picture, marks, [WHITE] * len(marks), dashed=True, thickness=1)
        pictures.append(draw_boxes(picture, polygons, [class_colour(label) for label in labels], texts))
    return add_legend(side_by_side(*pictures, title), classes, dashed_white='ground truth')


def main() -> None:
    """Predict, draw and report."""
    args = parse_args()
    if args.num < 1:
        raise InputError(f'--num {args.num}: wanted at least 1')
    cfg = read_config(args.config, args.cfg_options)
    checked_checkpoint(args.checkpoint)
    dataset = build_split(cfg, args.split, as_test=True)
    model = load_detector(cfg, args.checkpoint)
    classes = dataset.metainfo['classes']
    follows = boxes_follow_picture(dataset)
    num = min(args.num, len(dataset))
    progress = Progress(num, 'pairs')
    names, pages, records = [], [], []
    for i, index in enumerate(np.linspace(0, len(dataset) - 1, num).round().astype(int)):
        packed = dataset[int(index)]
        sample = packed['data_samples']
        ratio = np.asarray(sample.get('scale_factor', (1.0, 1.0)))
        truth = box_array(sample.gt_instances.bboxes), sample.gt_instances.labels.numpy()
        predicted = predict(model, packed, args.score_thr)
        found = box_array(predicted.bboxes), predicted.labels.numpy(), predicted.scores.numpy()
        key = sample.get('file_name', f'pair {index}')
        title = f'{key}: {len(found[0])} found from a score of {args.score_thr:g}, {len(truth[0])} annotated'
        scales = ratio, np.ones(2) if follows else ratio
        names.append(picture_name(int(index), key))
        pages.append(draw_result(packed, found, truth, classes, title, scales))
        records.append(
            {
                'picture': names[-1],
                'file_name': key,
                'predictions': [
                    {**record, 'score': round(float(score), 4)}
                    for record, score in zip(box_records(found[0], found[1], classes), found[2])
                ],
                'ground_truth': box_records(*truth, classes),
            }
        )
        progress.update(i + 1)
    write_pages(args.out or f'work_dirs/{Path(args.config).stem}/predictions_{args.split}', names, pages)
    if args.json:
        data = {'config': args.config, 'checkpoint': args.checkpoint, 'split': args.split, 'pairs': records}
        write_json(args.json, {**data, 'score_thr': args.score_thr}, indent=2)


if __name__ == '__main__':
    run(main)
