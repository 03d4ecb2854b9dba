"""Write a leaf config for your own pairs, as configs/my_pairs.py is one.

It says where they lie, their classes, the size that they are scaled to, and the batch. DIR holds visible/,
infrared/, annotations_train.json and annotations_test.json in COCO form (tools/convert.py writes them from
other forms), and captions.safetensors or whatever --captions names. Of oriented boxes, the base is
configs/slgnet_mini_oriented.py.

Example:
    python tools/new_config.py data/my_pairs --out work_dirs/my_pairs.py
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from mmengine.config import Config

from mmslg.annotations import Annotations, read_splits
from mmslg.apis.launch import read_config
from mmslg.apis.profiling import box_type
from mmslg.errors import InputError
from mmslg.utils import cli
from mmslg.utils.io import atomic_path, check_writable

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
BASES = {False: 'slgnet_mini.py', True: 'slgnet_mini_oriented.py'}
"""Base of upright and of oriented boxes, in configs/."""
SMALL, LARGE = ((320, 256), 4), ((512, 384), 2)
"""Size that pairs are scaled to, in pixels, and how many make a batch, with a miniature."""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('data', metavar='DIR', help='folder of the pairs')
    parser.add_argument('--out', required=True, metavar='FILE', help='config to write, ending in .py')
    parser.add_argument(
        '--base', metavar='FILE', help='config that it inherits [configs/slgnet_mini.py, or _oriented.py]'
    )
    parser.add_argument('--train', default='annotations_train.json', help='below DIR [%(default)s]')
    parser.add_argument('--test', default='annotations_test.json', help='below DIR [%(default)s]')
    parser.add_argument('--captions', default='captions.safetensors', help='below DIR [%(default)s]')
    return parser.parse_args()


def base_for(chosen: Config | None, oriented: Annotations | None) -> Config:
    """Return the chosen base config, or the miniature that learns such boxes.

    Warns of oriented boxes that the chosen one would learn as upright ones.

    Args:
        chosen: None chooses the miniature.
        oriented: Annotations with oriented boxes; None are upright ones alone.
    """
    fitting = os.path.join(CONFIGS, BASES[oriented is not None])
    if chosen is None:
        return read_config(fitting)
    if oriented is not None and box_type(chosen) == 'hbox':
        print(
            f'warning: {oriented.path}: its boxes are oriented, and --base '
            f'{os.path.relpath(chosen.filename)} learns upright ones around them; --base '
            f'{os.path.relpath(fitting)}, or another one for oriented boxes, keeps their angle',
            file=sys.stderr,
        )
    return chosen


def fitting_size(base: Config, annotations: Annotations) -> tuple[tuple[int, int], int]:
    """Return the size that suits most pairs, and a batch that goes with it; of a larger base, its own."""
    pipeline = base.train_dataloader.dataset.get('pipeline')
    resize = pipeline.get('resize') if isinstance(pipeline, dict) else None
    scale = (resize or {}).get('scale')
    if isinstance(scale, tuple) and scale > LARGE[0]:
        return scale, base.train_dataloader.batch_size
    area = median(pair.width * pair.height for pair in annotations.pairs)
    return LARGE if area > 1.5 * SMALL[0][0] * SMALL[0][1] else SMALL


def head_of(base: Config) -> str:
    """Return what sets the number of classes in a model of the base config.

    Raises:
        InputError: Its head has several stages, each with a number of its own.
    """
    model = base.get('model', {})
    head = model.get('roi_head', model).get('bbox_head', {})
    if not isinstance(head, dict) or 'num_classes' not in head:
        raise InputError(
            f'--base {base.filename}: its head has no single num_classes; write the leaf config by hand'
        )
    classes = 'dict(bbox_head=dict(num_classes=len(classes)))'
    return f'dict(roi_head={classes})' if 'roi_head' in model else classes


def leaf(
    base: str, head: str, args: argparse.Namespace, size: tuple[tuple[int, int], int], classes: Sequence[str]
) -> str:
    """Return the text of the config."""
    (width, height), batch = size
    test = os.path.join(args.data, args.test)
    return f"""_base_ = {base!r}

data_root = {args.data!r}
classes = {classes!r}
scale = ({width}, {height})  # width, height in pixels that pairs are scaled to; the aspect is kept

_data = dict(
    data_root=data_root,
    metainfo=dict(classes=classes),
    caption_store={args.captions!r},
    pipeline=dict(resize=dict(scale=scale)),
)
train_dataloader = dict(batch_size={batch}, dataset=dict(**_data, ann_file={args.train!r}))
val_dataloader = dict(dataset=dict(**_data, ann_file={args.test!r}))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={test!r})
test_evaluator = val_evaluator
model = {head}
"""


def main() -> None:
    """Look at the annotations and write the config."""
    args = parse_args()
    out = check_writable(args.out)
    if out.suffix != '.py':
        raise InputError(f'--out {out}: wanted a name that ends in .py')
    for name in (args.data, args.train, args.test, args.captions):
        if '{{' in name:
            raise InputError(f'{name}: MMEngine replaces {{{{ }}}} in a config; wanted a name without them')
    if out.exists():
        raise InputError(f'{out}: is there already; remove it, or choose another --out')
    chosen = None if args.base is None else read_config(args.base)
    train, test = read_splits(args.data, args.train, args.test)
    base = base_for(chosen, next((each for each in (train, test) if each.oriented), None))
    head = head_of(base)
    size = fitting_size(base, train)
    inherited = os.path.relpath(os.path.realpath(base.filename), os.path.realpath(out.parent))
    with atomic_path(out) as temporary:
        temporary.write_text(leaf(inherited, head, args, size, train.classes), encoding='utf-8')
    (width, height), batch = size
    print(
        f'{len(train.pairs)} training and {len(test.pairs)} test pairs of {", ".join(train.classes)}; scaled '
        f'to {width}x{height}, {batch} in a batch; on top of {inherited}: {out}'
    )


if __name__ == '__main__':
    cli.run(main)
