"""Cut an annotation file down to its first pairs, for instance to see whether a model can overfit them."""

import argparse
import os
from pathlib import Path

from mmslg.annotations import read_annotations
from mmslg.errors import InputError
from mmslg.utils.cli import run
from mmslg.utils.io import refuse_overwriting, write_json


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('annotations', help='file in COCO form')
    parser.add_argument('--first', type=int, required=True, metavar='N', help='how many pairs')
    parser.add_argument('--out', required=True, metavar='FILE', help='the file to write')
    return parser.parse_args()


def main() -> None:
    """Write the first images and their annotations; the file says where the images lie."""
    args = parse_args()
    refuse_overwriting(args.out, args.annotations)
    source = read_annotations(args.annotations)
    data = source.data
    if not 1 <= args.first <= len(source.pairs):
        raise InputError(f'--first {args.first}: {args.annotations} lists {len(source.pairs)} images')
    data['images'] = data['images'][: args.first]
    kept = {image['id'] for image in data['images']}
    data['annotations'] = [a for a in data['annotations'] if a['image_id'] in kept]
    root = Path(os.path.realpath(os.path.dirname(args.annotations))) / (data['info'].get('data_root') or '')
    data['info']['data_root'] = os.path.relpath(root, os.path.realpath(os.path.dirname(args.out)))
    write_json(args.out, data)
    print(f'{len(data["images"])} images, {len(data["annotations"])} annotations in {args.out}')


if __name__ == '__main__':
    run(main)
