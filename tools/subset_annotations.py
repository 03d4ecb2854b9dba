"""Cut an annotation file down to its first pairs, for instance to see whether a model can learn them."""

import argparse

from mmslg.errors import InputError
from mmslg.utils.cli import run
from mmslg.utils.io import read_json, write_json


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('annotations', help='file in COCO form')
    parser.add_argument('--first', type=int, required=True, metavar='N', help='how many pairs')
    parser.add_argument('--out', required=True, metavar='FILE', help='the file to write')
    return parser.parse_args()


def main() -> None:
    """Write the first images and their annotations."""
    args = parse_args()
    data = read_json(args.annotations)
    if not isinstance(data, dict) or 'images' not in data or 'annotations' not in data:
        raise InputError(f'{args.annotations}: wanted COCO form with the lists images and annotations')
    if not 1 <= args.first <= len(data['images']):
        raise InputError(f'--first {args.first}: {args.annotations} lists {len(data["images"])} images')
    data['images'] = data['images'][: args.first]
    kept = {image['id'] for image in data['images']}
    data['annotations'] = [a for a in data['annotations'] if a['image_id'] in kept]
    write_json(args.out, data)
    print(f'{len(data["images"])} images, {len(data["annotations"])} annotations in {args.out}')


if __name__ == '__main__':
    run(main)
