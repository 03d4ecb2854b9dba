"""Draw what the model is fed: both modalities with boxes and captions, after augmentation."""

import argparse

import numpy as np
from mmengine.runner import set_random_seed

from mmslg.apis.launch import add_analysis_arguments, read_config
from mmslg.errors import InputError
from mmslg.utils.cli import run
from mmslg.utils.io import write_json
from mmslg.utils.progress import progress_bar
from mmslg.visualization.pair_visualizer import to_boxes
from mmslg.visualization.pairs import add_lines, draw_pair_boxes
from mmslg.visualization.samples import (
    SPLITS,
    box_records,
    build_split,
    caption_of,
    picture_folder,
    picture_name,
    split_pair,
    write_pages,
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_analysis_arguments(parser)
    parser.add_argument('--split', choices=SPLITS, default='train', help='which pairs [train]')
    parser.add_argument('--num', type=int, default=8, help='number of pairs, from the first [8]')
    parser.add_argument('--draws', type=int, default=1, help='draws of the augmentation a pair [1]')
    parser.add_argument('--seed', type=int, default=0, help='seed of the augmentation [0]')
    parser.add_argument('--out', metavar='DIR', help='folder for the pictures [work_dirs/CONFIG/pairs_SPLIT]')
    return parser.parse_args()


def describe(sample) -> str:
    """Name a pair and tell what the augmentation did to it."""
    height, width = sample.img_shape[:2]
    parts = [sample.file_name, f'{width}x{height}']
    if tuple(sample.ori_shape[:2]) != (height, width):
        parts[-1] += f' from {sample.ori_shape[1]}x{sample.ori_shape[0]}'
    if sample.get('flip'):
        parts.append(f'flipped {sample.get("flip_direction")}')
    return ', '.join(parts)


def find_info(dataset, index: int, key: str) -> dict:
    """Return the data info of a packed pair; where augmentation left no box, another pair was taken."""
    infos = (dataset.get_data_info(i) for i in (index, *range(len(dataset))))
    return next(info for info in infos if info['file_name'] == key)


def main() -> None:
    """Draw the first pairs of a split."""
    args = parse_args()
    for option in ('num', 'draws'):
        if getattr(args, option) < 1:
            raise InputError(f'--{option} {getattr(args, option)}: wanted at least 1')
    folder = picture_folder(args, f'pairs_{args.split}')
    dataset = build_split(read_config(args.config, args.cfg_options), args.split)
    set_random_seed(args.seed)
    classes = dataset.metainfo['classes']
    wanted = [(i, draw) for i in range(min(args.num, len(dataset))) for draw in range(args.draws)]
    bar = progress_bar(len(wanted), 'pairs')
    pages, records = [], []
    for i, draw in wanted:
        packed = dataset[i]
        sample, image = packed['data_samples'], packed['inputs']['img']
        caption = caption_of(find_info(dataset, i, sample.file_name))
        # Only training pipelines load annotations before they resize.
        scale = 1 if args.split == 'train' else np.array(sample.scale_factor)
        truth = to_boxes(sample.gt_instances)
        truth = truth._replace(polygons=truth.polygons * scale)
        name = f'{i:03d}_{picture_name(sample.file_name)}' + (f'_{draw}' if args.draws > 1 else '')
        page = draw_pair_boxes(*split_pair(image), classes, describe(sample), truth)
        pages.append(add_lines(page, ['caption: ' + '; '.join(caption.values())] if caption else []))
        records.append(
            {
                'picture': f'{name}.png',
                'file_name': sample.file_name,
                'size': list(image.shape[:0:-1]),
                'flip': bool(sample.get('flip', False)),
                'boxes': box_records(sample.gt_instances, classes, scale),
                'caption': caption,
            }
        )
        bar.update()
    names = [record['picture'] for record in records]
    write_pages(folder, names, pages)
    if args.json is not None:
        write_json(args.json, {'config': args.config, 'split': args.split, 'pairs': records}, indent=2)


if __name__ == '__main__':
    run(main)
