"""Explain the detections in one pair: whose edges, which weights, where tokens look, what each part does."""

import argparse
import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

from pathlib import Path

from mmslg.apis.explanation import explain
from mmslg.apis.explanation_page import ExplainedPair
from mmslg.apis.launch import add_analysis_arguments, read_config
from mmslg.apis.many_pairs import SWAPPED
from mmslg.apis.pair_inferencer import Pair, PairInferencer
from mmslg.captions.schema import COMPONENTS
from mmslg.errors import InputError
from mmslg.pairing import pair_at
from mmslg.utils.cli import parse_score, run
from mmslg.utils.image_io import looks_swapped
from mmslg.utils.io import check_folder, check_writable, refuse_overwriting, try_folder, write_json
from mmslg.visualization.pairs import write_picture
from mmslg.visualization.report_page import draw_page, write_html
from mmslg.visualization.samples import picture_name


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_analysis_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--rgb', required=True, metavar='FILE', help='visible image')
    parser.add_argument('--ir', required=True, metavar='FILE', help='infrared image')
    parser.add_argument('--out', metavar='DIR', help='folder [work_dirs/CONFIG/explained]')
    told = parser.add_mutually_exclusive_group()
    told.add_argument('--caption', nargs=4, metavar=tuple(name.upper() for name in COMPONENTS))
    told.add_argument(
        '--caption-store', metavar='FILE', help="store with the pair's caption, by its file name"
    )
    told.add_argument('--captioner', metavar='NAME', help='who writes the caption [nobody: neutral]')
    parser.add_argument('--score-thr', type=parse_score, default=0.3, help='lowest score that counts [0.3]')
    parser.add_argument(
        '--tokens',
        nargs='+',
        default=[],
        metavar='X,Y',
        help='pixels whose tokens are drawn [the surest boxes]',
    )
    parser.add_argument(
        '--no-swap-check',
        dest='swap_check',
        action='store_false',
        help='explain a gray visible image beside an infrared one in colour, too',
    )
    return parser.parse_args()


def read_place(text: str) -> tuple[float, float]:
    """Read ``X,Y``.

    Raises:
        InputError: It is none.
    """
    try:
        x, y = (float(side) for side in text.split(','))
        if not (0 <= x < float('inf') and 0 <= y < float('inf')):
            raise ValueError
    except ValueError:
        raise InputError(f'--tokens {text}: wanted X,Y in pixels of the image, such as 320,200') from None
    return x, y


def main() -> None:
    """Detect, record and draw."""
    args = parse_args()
    tokens = [read_place(text) for text in args.tokens]
    out = Path('work_dirs', Path(args.config).stem, 'explained') if args.out is None else args.out
    folder = check_folder(out, '--out')
    try_folder(folder)
    stem = picture_name(Path(args.rgb).name)
    files = [check_writable(folder / f'{stem}{suffix}') for suffix in ('.png', '.html')]
    refuse_overwriting(args.json, args.config, args.checkpoint, args.rgb, args.ir, *files)
    for file in files:
        refuse_overwriting(file, args.rgb, args.ir)
    pair_at(args.rgb, args.ir)
    if args.swap_check and looks_swapped(args.rgb, args.ir):
        raise InputError(f'{args.rgb}, {args.ir}: {SWAPPED}')
    cfg = read_config(args.config, args.cfg_options)
    inferencer = PairInferencer(
        cfg, args.checkpoint, captioner=args.captioner, caption_store=args.caption_store
    )
    caption = dict(zip(COMPONENTS, args.caption)) if args.caption else None
    packed = inferencer.pack(Pair(args.rgb, args.ir, caption=caption))
    height, width = packed['data_samples'].ori_shape[:2]
    for text, (x, y) in zip(args.tokens, tokens):
        if x >= width or y >= height:
            raise InputError(
                f'--tokens {text}: not in the image; wanted X from 0 to {width - 1}, Y from 0 to {height - 1}'
            )
    explanation = explain(inferencer.model, packed)
    told = packed['data_samples'].get('caption')
    pair = ExplainedPair(
        packed, explanation, inferencer.classes, args.score_thr, told.to_dict() if told else None, tokens
    )
    title, sections = f'{Path(args.rgb).name} + {Path(args.ir).name}', pair.sections()
    write_picture(files[0], draw_page(title, sections))
    write_html(files[1], title, sections)
    figures = pair.figures()
    for level, shares in figures['edges'].items():
        visible, infrared = (100 * shares[name] for name in ('visible', 'infrared'))
        print(f'{level}: edges {visible:.0f} % visible, {infrared:.0f} % infrared')
    print(inferencer.describe_captions())
    print(f'{files[0]} and {files[1]}')
    if args.json is not None:
        inputs = dict(config=args.config, checkpoint=args.checkpoint, rgb=args.rgb, ir=args.ir)
        write_json(args.json, inputs | dict(score_thr=args.score_thr) | figures, indent=2)


if __name__ == '__main__':
    run(main)
