"""Draw what a trained detector finds: both modalities with predictions and ground truth."""

import argparse
from pathlib import Path

import numpy as np

from mmslg.apis.inference import load_detector, predict
from mmslg.apis.launch import add_analysis_arguments, read_config
from mmslg.errors import InputError
from mmslg.utils.cli import run
from mmslg.utils.io import write_json
from mmslg.utils.progress import progress_bar
from mmslg.visualization.samples import (
    SPLITS,
    box_array,
    box_records,
    build_split,
    draw_result,
    picture_name,
    scales_of,
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


def main() -> None:
    """Predict, draw and report."""
    args = parse_args()
    if args.num < 1:
        raise InputError(f'--num {args.num}: wanted at least 1')
    cfg = read_config(args.config, args.cfg_options)
    model = load_detector(cfg, args.checkpoint)
    dataset = build_split(cfg, args.split, as_test=True)
    classes = dataset.metainfo['classes']
    num = min(args.num, len(dataset))
    bar = progress_bar(num, 'pairs')
    names, pages, records = [], [], []
    for index in np.linspace(0, len(dataset) - 1, num).round().astype(int):
        packed = dataset[int(index)]
        sample = packed['data_samples']
        truth = box_array(sample.gt_instances.bboxes), sample.gt_instances.labels.numpy()
        predicted = predict(model, packed, args.score_thr)
        found = box_array(predicted.bboxes), predicted.labels.numpy(), predicted.scores.numpy()
        key = sample.get('file_name', f'pair {index}')
        title = f'{key}: {len(found[0])} found from a score of {args.score_thr:g}, {len(truth[0])} annotated'
        names.append(picture_name(int(index), key))
        pages.append(draw_result(packed, found, truth, classes, title, scales_of(dataset, packed)))
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
        bar.update()
    write_pages(args.out or f'work_dirs/{Path(args.config).stem}/predictions_{args.split}', names, pages)
    if args.json:
        data = {'config': args.config, 'checkpoint': args.checkpoint, 'split': args.split, 'pairs': records}
        write_json(args.json, {**data, 'score_thr': args.score_thr}, indent=2)


if __name__ == '__main__':
    run(main)
