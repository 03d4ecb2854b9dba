"""Encode captions into the store that a model reads.

Example:
    python tools/captions/encode.py data/flir/captions.jsonl --encoder hashed --width 512 \
        --out data/flir/captions.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmslg.captions.base import build_text_encoder
from mmslg.captions.schema import read_captions
from mmslg.captions.store import CaptionStore, write_store
from mmslg.utils import cli
from mmslg.utils.progress import Progress


def parse_args() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('captions', metavar='JSONL', help='captions.jsonl')
    parser.add_argument('--encoder', default='hashed', help='registered name (default: hashed)')
    parser.add_argument('--width', type=int, help='length of a vector, for encoders that let you choose')
    parser.add_argument('--out', required=True, metavar='STORE', help='store to write, .safetensors')
    return parser.parse_args()


def main() -> None:
    """Encode all captions."""
    args = parse_args()
    options = {} if args.width is None else {'width': args.width}
    encoder = build_text_encoder(args.encoder, **options)
    captions = {key: record.caption for key, record in read_captions(args.captions).items()}
    distinct = len({text for caption in captions.values() for text in caption.components()})
    write_store(args.out, captions, encoder, Progress(distinct, 'strings').update)
    store = CaptionStore.open(args.out)
    size = Path(args.out).stat().st_size
    print(
        f'{len(store)} captions, {store.num_texts} distinct strings, {store.pooling} vectors of width '
        f'{store.width} by {store.model}, {size / 1e6:.2f} MB in {args.out}'
    )


if __name__ == '__main__':
    cli.run(main)
