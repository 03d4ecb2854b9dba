"""Export a checkpoint: everything in one file, or the adapters alone, with a card that says what it is."""

import argparse
import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

from mmslg.apis.export import export_checkpoint
from mmslg.apis.launch import add_cfg_options
from mmslg.utils.cli import run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='checkpoint of a training')
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='.pth or .safetensors; the card is FILE.md'
    )
    parser.add_argument('--adapters', action='store_true', help='no trunk, pyramid or head (.safetensors)')
    parser.add_argument('--config', help='config of the training [the one beside the checkpoint]')
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Export and say what was written."""
    args = parse_args()
    print(export_checkpoint(args.checkpoint, args.out, args.config, args.cfg_options, args.adapters))


if __name__ == '__main__':
    run(main)
