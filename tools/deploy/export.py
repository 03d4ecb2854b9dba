"""Export a detector as ONNX, a program of torch.export or for OpenVINO, and compare it with the checkpoint.

The file has the pair's pixels and the caption's embedding as inputs, and boxes, scores and labels as
outputs. Nothing is written if it finds anything else than the checkpoint does.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

from mmslg.apis.configs import require
from mmslg.apis.launch import add_cfg_options, read_config
from mmslg.apis.pair_inferencer import Pair, PairInferencer
from mmslg.deployment.export import PARTS, SUFFIXES, export_detector
from mmslg.engine.trunk_state import trunk_settings
from mmslg.errors import InputError
from mmslg.pairing import pairs_at
from mmslg.utils.cli import parse_size, run
from mmslg.utils.io import refuse_overwriting, try_folder


def batch_size(text: str) -> int | None:
    """Read a number of at least 1, or ``dynamic``."""
    if text != 'dynamic' and (not text.isdecimal() or int(text) < 1):
        raise argparse.ArgumentTypeError(f'wanted a number of at least 1, or dynamic, got {text!r}')
    return None if text == 'dynamic' else int(text)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint of a training')
    parser.add_argument('--out', required=True, metavar='FILE', help='.onnx, .pt2 or .xml, as --format says')
    parser.add_argument('--format', choices=list(SUFFIXES), default='onnx', help='[onnx]')
    parser.add_argument(
        '--part', choices=PARTS, default='detector', help='all, or backbone and necks alone [detector]'
    )
    parser.add_argument(
        '--batch', type=batch_size, default=1, metavar='N|dynamic', help='pairs in a batch [1]'
    )
    parser.add_argument(
        '--size', type=parse_size, metavar='WxH', help='pixels of the pairs as they come [the test split]'
    )
    parser.add_argument('--fp16', action='store_true', help='convolutions and matrices in float16')
    parser.add_argument(
        '--verify',
        nargs='+',
        default=['20'],
        metavar='N|PATH',
        help='compare on N pairs of the test split, or on up to 20 of a folder, of two folders (visible, '
        'infrared), or on two images; 0 does not [20]',
    )
    add_cfg_options(parser)
    return parser.parse_args()


def compared(words: list[str]) -> tuple[int, list[Pair] | None]:
    """Return how many pairs are compared, and those of the folders or images that were named."""
    if len(words) == 1 and words[0].isdecimal():
        return int(words[0]), None
    if len(words) > 2:
        raise InputError(
            f'--verify: wanted a number, a folder, two folders or two images, got {len(words)} words'
        )
    return 20, [Pair(found.visible, found.infrared, found.name) for found in pairs_at(*words).pairs]


def main() -> None:
    """Export, compare, and say so."""
    args = parse_args()
    refuse_overwriting(args.out, args.config, args.checkpoint)
    try_folder(Path(args.out).parent)
    cfg = read_config(args.config, args.cfg_options)
    require(cfg, 'model')
    for settings in trunk_settings(cfg.model):
        settings['dtype'] = 'float32'
    num_pairs, pairs = compared(args.verify)
    lines = export_detector(
        PairInferencer(cfg, args.checkpoint, device='cpu'),
        args.checkpoint,
        args.out,
        args.format,
        args.part,
        args.batch,
        args.size,
        args.fp16,
        num_pairs,
        pairs,
    )
    print('\n'.join(lines))


if __name__ == '__main__':
    run(main)
