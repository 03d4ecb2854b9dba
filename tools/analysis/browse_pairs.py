"""Draw what the model is fed: both modalities with boxes and captions, after augmentation."""

import argparse
import random
from pathlib import Path

import numpy as np
import torch

from mmslg.apis.launch import add_analysis_arguments, read_config
from mmslg.errors import InputError
from mmslg.utils.cli import run
from mmslg.utils.io import write_json
from mmslg.utils.progress import progress_bar
from mmslg.visualization.pairs import (
    add_legend,
    add_lines,
    class_colour,
    draw_boxes,
    side_by_side,
    to_polygons,
)
from mmslg.visualization.samples import (
    SPLITS,
    box_array,
    box_records,
    boxes_follow_picture,
    build_split,
    enlarge_pair,
    find_caption,
    picture_name,
    write_pages,
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_analysis_arguments(parser)
    parser.add_argument('--split', choices=SPLITS, default='train', help='which pairs [train]')
    parser.add_argument('--num', type=int, default=8, help='number of pairs, from the first [8]')
    parser.add_argument('--seed', type=int, default=0, help='seed of the augmentation [0]')
    parser.add_argument('--out', metavar='DIR', help='folder for the pictures [work_dirs/CONFIG/pairs_SPLIT]')
    return parser.parse_args()


def describe(sample, index: int) -> str:
    """Name a pair and tell what the augmentation did to it."""
    height, width = sample.img_shape[:2]
    parts = [sample.get('file_name', f'pair {index}'), f'{width}x{height}']
    if sample.get('ori_shape') is not None and tuple(sample.ori_shape) != (height, width):
        parts[-1] += f' from {sample.ori_shape[1]}x{sample.ori_shape[0]}'
    if sample.get('flip'):
        parts.append(f'flipped {sample.get("flip_direction")}')
    return ', '.join(parts)


def draw_sample(
    packed: dict, classes: tuple, title: str, caption: dict, scale
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one packed sample.

    Returns:
        The page, and the boxes in pixels of the packed image.
    """
    truth = packed['data_samples'].gt_instances
    visible, infrared, factor = enlarge_pair(packed['inputs']['img'])
    polygons = to_polygons(box_array(truth.bboxes)) * scale
    labels = truth.labels.tolist()
    colours = [class_colour(label) for label in labels]
    texts = [classes[label] for label in labels]
    pictures = [draw_boxes(picture, polygons * factor, colours, texts) for picture in (visible, infrared)]
    page = side_by_side(*pictures, title)
    values = list(caption.values())
    lines = ['caption: ' + '; '.join(values)] if caption else []
    return add_lines(add_legend(page, classes), lines), polygons


def main() -> None:
    """Draw the first pairs of a split."""
    args = parse_args()
    if args.num < 1:
        raise InputError(f'--num {args.num}: wanted at least 1')
    cfg = read_config(args.config, args.cfg_options)
    dataset = build_split(cfg, args.split)
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    classes = dataset.metainfo['classes']
    follows = boxes_follow_picture(dataset)
    num = min(args.num, len(dataset))
    bar = progress_bar(num, 'pairs')
    names, pages, records = [], [], []
    for i in range(num):
        packed = dataset[i]
        sample = packed['data_samples']
        key = sample.get('file_name', '')
        caption = find_caption(dataset, key)
        scale = np.ones(2) if follows else np.asarray(sample.scale_factor)
        page, polygons = draw_sample(packed, classes, describe(sample, i), caption, scale)
        boxes = polygons.reshape(-1, 8) if len(polygons) else polygons
        if box_array(sample.gt_instances.bboxes).shape[1] == 4:
            boxes = polygons[:, [0, 2]].reshape(-1, 4)
        names.append(picture_name(i, key))
        pages.append(page)
        records.append(
            {
                'picture': names[-1],
                'file_name': key,
                'size': list(packed['inputs']['img'].shape[:0:-1]),
                'flip': bool(sample.get('flip', False)),
                'boxes': box_records(boxes, sample.gt_instances.labels.tolist(), classes),
                'caption': caption,
            }
        )
        bar.update()
    write_pages(args.out or f'work_dirs/{Path(args.config).stem}/pairs_{args.split}', names, pages)
    if args.json:
        write_json(args.json, {'config': args.config, 'split': args.split, 'pairs': records}, indent=2)


if __name__ == '__main__':
    run(main)
