r"""Encode captions into the store that a model reads.

Examples:
    python tools/captions/encode.py data/flir/captions.jsonl --encoder open_clip --model ViT-B-16 \
        --pretrained laion2b_s34b_b88k --out data/flir/captions.safetensors
    python tools/captions/encode.py data/flir/captions.jsonl --encoder hf \
        --model sentence-transformers/all-MiniLM-L6-v2 --out data/flir/minilm.safetensors
    python tools/captions/encode.py data/flir/captions.jsonl --encoder hashed --width 512 \
        --out data/flir/hashed.safetensors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmslg.captions.building import build_text_encoder, import_modules
from mmslg.captions.encoders.network import POOLINGS
from mmslg.captions.schema import read_captions
from mmslg.captions.store import CaptionStore, write_store
from mmslg.captions.variants import STORE_VARIANTS, rewrite
from mmslg.errors import InputError
from mmslg.utils import cli
from mmslg.utils.io import check_writable, refuse_overwriting
from mmslg.utils.progress import count_to, progress_bar

OPTIONS = ('model', 'pretrained', 'pooling', 'max_tokens', 'batch_size', 'device', 'width')
"""Flags that go to the encoder if given."""


def parse_args() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('captions', metavar='JSONL', help='captions.jsonl')
    parser.add_argument(
        '--encoder', default='hashed', help='open_clip, hf, hashed or another registered name [hashed]'
    )
    parser.add_argument(
        '--model', help='open_clip: an architecture such as ViT-B-16; hf: a name on the hub or a folder'
    )
    parser.add_argument('--pretrained', help='open_clip: tag of published weights, or a checkpoint file')
    parser.add_argument('--pooling', choices=POOLINGS, help='one vector a text, or all its tokens [pooled]')
    parser.add_argument('--max-tokens', type=int, metavar='L', help='with tokens, how many are kept [77]')
    parser.add_argument('--batch-size', type=int, metavar='N', help='texts that run at a time [64]')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 ... [the GPU if there is one]')
    parser.add_argument('--width', type=int, help='hashed: length of a vector [512]')
    parser.add_argument(
        '--variant', choices=STORE_VARIANTS, default='structured', help='form of the captions [structured]'
    )
    parser.add_argument('--classes', nargs='+', default=(), metavar='NAME', help='for --variant class_names')
    parser.add_argument(
        '--import',
        dest='modules',
        action='append',
        default=[],
        metavar='MODULE',
        help='import this module first; it may register an encoder of yours (may be repeated)',
    )
    parser.add_argument('--out', required=True, metavar='STORE', help='store to write, .safetensors')
    return parser.parse_args()


def main() -> None:
    """Encode all captions."""
    args = parse_args()
    refuse_overwriting(check_writable(args.out), args.captions)
    if not args.out.endswith('.safetensors'):
        raise InputError(f'--out {args.out}: wanted a name that ends in .safetensors')
    import_modules(args.modules)
    records = read_captions(args.captions)
    captions = {key: record.caption for key, record in records.items()}
    captions = rewrite(captions, args.variant, args.classes)
    options = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    encoder = build_text_encoder(args.encoder, **options)
    distinct = len({text for caption in captions.values() for text in caption.components()})
    write_store(args.out, captions, encoder, count_to(progress_bar(distinct, 'strings')), args.variant)
    if encoder.truncated:
        print(
            f'warning: {encoder.truncated} of {distinct} strings are longer than the encoder reads, and were '
            'cut',
            file=sys.stderr,
        )
    store = CaptionStore.open(args.out)
    size = Path(args.out).stat().st_size
    print(
        f'{len(store)} captions, {store.num_texts} distinct strings, {store.pooling} vectors of width '
        f'{store.width} by {store.model}, {size / 1e6:.2f} MB in {args.out}'
    )


if __name__ == '__main__':
    cli.run(main)
