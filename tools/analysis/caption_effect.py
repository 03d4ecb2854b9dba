"""What the caption alone does: detections of each pair with its own caption and with the most unlike one."""

from __future__ import annotations

import argparse
import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

import numpy as np
import torch

from mmslg.apis.changes import compare
from mmslg.apis.inference import load_detector, predict
from mmslg.apis.launch import add_analysis_arguments, read_config
from mmslg.apis.profiling import find_parts
from mmslg.errors import InputError
from mmslg.utils.cli import parse_score, run
from mmslg.utils.io import write_json
from mmslg.utils.progress import progress_bar
from mmslg.visualization.pair_visualizer import draw_sample
from mmslg.visualization.samples import (
    SPLITS,
    build_split,
    caption_of,
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
    parser.add_argument('--num', type=int, default=4, help='pairs to draw: those that change most [4]')
    parser.add_argument('--score-thr', type=parse_score, default=0.3, help='lowest score that counts [0.3]')
    parser.add_argument('--out', metavar='DIR', help='folder [work_dirs/CONFIG/caption_effect]')
    return parser.parse_args()


def most_unlike(texts: torch.Tensor) -> torch.Tensor:
    """Return for each of N captions (N, ...) the one of least cosine similarity."""
    flat = torch.nn.functional.normalize(texts.flatten(1), dim=1)
    return (flat @ flat.T).argmin(1)


def main() -> None:
    """Predict twice, compare, draw and report."""
    args = parse_args()
    if args.num < 1:
        raise InputError(f'--num {args.num}: wanted at least 1')
    folder = picture_folder(args, 'caption_effect')
    cfg = read_config(args.config, args.cfg_options)
    model = load_detector(cfg, args.checkpoint)
    dataset = build_split(cfg, args.split, as_test=True)
    if find_parts(model).lgm is None:
        raise InputError(
            f'{args.config}: the model has no mmslg.LanguageGuidedModulation: captions do nothing'
        )
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    if 'text' not in infos[0]:
        raise InputError(f'{args.config}: the {args.split} dataset has no caption_store')
    texts = [info['text'] for info in infos]
    keys = [info['file_name'] for info in infos]
    captions = ['; '.join(caption_of(info).values()) for info in infos]
    partners = most_unlike(torch.stack(texts)).tolist()
    classes = dataset.metainfo['classes']
    bar = progress_bar(len(keys), 'pairs')
    rows, found = [], []
    for i, partner in enumerate(partners):
        sample = dataset[i]
        own = predict(model, sample)
        sample['inputs']['text'] = texts[partner]
        other = predict(model, sample)
        rows.append(dict(file_name=keys[i], own=captions[i], other=captions[partner], other_of=keys[partner]))
        rows[-1] |= compare(own, other, args.score_thr)
        found.append((own, other))
        bar.update()
    order = sorted(
        range(len(rows)), key=lambda i: (-rows[i]['gone'] - rows[i]['come'], -rows[i]['score_change'])
    )
    pages = []
    for i in order[: args.num]:
        sample, halves = dataset[i]['data_samples'], []
        for detections, whose, key in zip(found[i], ('own caption', 'another caption'), ('own', 'other')):
            sample.pred_instances = detections
            halves.append(draw_sample(sample, classes, args.score_thr, f'{whose}: {rows[i][key]}'))
        pages.append(np.vstack(halves))
    totals = {key: sum(row[key] for row in rows) for key in ('detections', 'gone', 'come')}
    change = float(np.mean([row['score_change'] for row in rows]))
    print(
        f'{len(rows)} pairs, {totals["detections"]} detections from a score of {args.score_thr:g} with their '
        f'own caption; with the most unlike one {totals["gone"]} have gone and {totals["come"]} have come; '
        f'scores of the others change by {change:.3f} on average'
    )
    names = [f'{i:03d}_{picture_name(keys[i])}.png' for i in order[: args.num]]
    write_pages(folder, names, pages)
    if args.json is not None:
        data = dict(
            config=args.config, checkpoint=args.checkpoint, split=args.split, score_thr=args.score_thr
        )
        write_json(args.json, data | dict(total=totals | dict(score_change=change), pairs=rows), indent=2)


if __name__ == '__main__':
    run(main)
