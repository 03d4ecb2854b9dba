"""Draw what a trained detector finds: both modalities with predictions and ground truth."""

import argparse
import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

import numpy as np

from mmslg.apis.inference import load_detector, predict
from mmslg.apis.launch import add_analysis_arguments, read_config
from mmslg.errors import InputError
from mmslg.utils.cli import parse_score, run
from mmslg.utils.io import write_json
from mmslg.utils.progress import progress_bar
from mmslg.visualization.pair_visualizer import draw_sample
from mmslg.visualization.samples import (
    SPLITS,
    box_records,
    build_split,
    picture_folder,
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
    parser.add_argument('--score-thr', type=parse_score, default=0.3, help='lowest score that is drawn [0.3]')
    parser.add_argument('--out', metavar='DIR', help='folder [work_dirs/CONFIG/predictions_SPLIT]')
    return parser.parse_args()


def main() -> None:
    """Predict, draw and report."""
    args = parse_args()
    if args.num < 1:
        raise InputError(f'--num {args.num}: wanted at least 1')
    folder = picture_folder(args, f'predictions_{args.split}')
    cfg = read_config(args.config, args.cfg_options)
    model = load_detector(cfg, args.checkpoint)
    dataset = build_split(cfg, args.split, as_test=True)
    classes = dataset.metainfo['classes']
    num = min(args.num, len(dataset))
    bar = progress_bar(num, 'pairs')
    pages, records = [], []
    for index in np.linspace(0, len(dataset) - 1, num).round().astype(int).tolist():
        packed = dataset[index]
        sample = packed['data_samples']
        sample.pred_instances = predict(model, packed, args.score_thr)
        pages.append(draw_sample(sample, classes, args.score_thr))
        records.append(
            {
                'picture': f'{index:03d}_{picture_name(sample.file_name)}.png',
                'file_name': sample.file_name,
                'predictions': box_records(sample.pred_instances, classes),
                'ground_truth': box_records(sample.gt_instances, classes),
            }
        )
        bar.update()
    names = [record['picture'] for record in records]
    write_pages(folder, names, pages)
    if args.json is not None:
        data = {'config': args.config, 'checkpoint': args.checkpoint, 'split': args.split, 'pairs': records}
        write_json(args.json, {**data, 'score_thr': args.score_thr}, indent=2)


if __name__ == '__main__':
    run(main)
