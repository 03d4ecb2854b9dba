r"""Detect in a large collection of pairs, over many workers by Ray Data.

A row is a pair: id, visible, infrared, and perhaps caption (environment, scene, objects, thermal).
Started again, it goes on where it stopped.

Examples:
    python tools/deploy/infer_ray.py configs/slgnet_flir.py work_dirs/flir/epoch_50.pth \
        --pairs data/pairs.jsonl --out work_dirs/detections --workers 2

    python tools/deploy/infer_ray.py configs/slgnet_flir.py work_dirs/flir/epoch_50.pth \
        --pairs /mnt/data/pairs.parquet --out /mnt/data/detections --address auto
"""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

from mmslg.errors import InputError
from mmslg.utils import cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--pairs', required=True, metavar='FILE', help='list of pairs, .jsonl or .parquet')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the Parquet files')
    parser.add_argument('--address', help='address of a Ray cluster, or auto [Ray is started here]')
    parser.add_argument(
        '--workers', type=cli.parse_positive, help='workers [one for each GPU, without GPUs one]'
    )
    parser.add_argument('--gpus-per-worker', type=_share, metavar='G', help='such as 1, 0.5 or 0')
    parser.add_argument('--batch-size', type=cli.parse_positive, default=8, help='pairs in one batch [8]')
    parser.add_argument(
        '--score-thr', type=cli.parse_score, default=0.05, help='lowest score that is kept [0.05]'
    )
    parser.add_argument(
        '--rows-per-shard', type=cli.parse_positive, default=1000, help='rows of a file [1000]'
    )
    parser.add_argument('--captions', metavar='STORE', help='captions by the ids of the pairs')
    parser.add_argument('--captioner', help='writes the captions of pairs that have none')
    parser.add_argument('--encoder', help='text encoder of captions [that of the store]')
    return parser.parse_args()


def main() -> int:
    """Detect in the pairs that the folder lacks; return 1 if it holds pairs that failed."""
    args = parse_args()
    try:
        from mmslg.collections.command import detect_collection
    except ImportError as error:
        raise InputError(
            f'large collections want the packages ray and pyarrow ({error}); '
            'run: pip install -r requirements/ray.txt'
        ) from None
    failed = detect_collection(args)
    if failed:
        print(f'error: pairs that failed: {failed}; their rows in {args.out} say why', file=sys.stderr)
    return 1 if failed else 0


def _share(text: str) -> float:
    value = float(text)
    if not (0 <= value < 1 or value in range(1, 65)):
        raise argparse.ArgumentTypeError(
            f'wanted 0, a part of one GPU, or a whole number of them, got {text}'
        )
    return value


if __name__ == '__main__':
    cli.run(main)
