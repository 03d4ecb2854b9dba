"""Cut an annotation file down to its first pairs, for instance to see whether a model can overfit them."""

import argparse

from mmslg.apis.subsets import write_first_pairs
from mmslg.utils.cli import run
from mmslg.utils.io import refuse_overwriting


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
    images, boxes = write_first_pairs(args.annotations, args.first, args.out)
    print(f'{images} images, {boxes} annotations in {args.out}')


if __name__ == '__main__':
    run(main)
