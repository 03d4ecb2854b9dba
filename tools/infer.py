r"""Detect in pairs of visible and infrared images: two files, two folders, or one folder with both.

Examples:
    python tools/infer.py CONFIG CHECKPOINT --rgb visible.jpg --ir infrared.jpg

    python tools/infer.py CONFIG CHECKPOINT --rgb data/visible --ir data/infrared --out found

    python tools/infer.py CONFIG CHECKPOINT --rgb data --json found.json --no-pictures
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

from mmslg.apis.launch import add_cfg_options, read_config
from mmslg.engine.identity import detection_identity
from mmslg.errors import InputError
from mmslg.pairing import PairFiles, pairs_at
from mmslg.utils.cli import parse_score, run
from mmslg.utils.io import check_folder, refuse_overwriting
from mmslg.utils.progress import progress_bar


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--rgb', required=True, metavar='PATH', help='visible image, their folder, or a folder of both'
    )
    parser.add_argument('--ir', metavar='PATH', help='infrared image or folder [that of --rgb]')
    parser.add_argument('--out', metavar='DIR', help='folder for the results [work_dirs/CONFIG/found]')
    parser.add_argument('--json', metavar='FILE', help='detections in COCO form [OUT/detections.json]')
    parser.add_argument('--dota', metavar='DIR', help="detections in DOTA's form as well, a file a class")
    parser.add_argument('--no-pictures', dest='pictures', action='store_false', help='write no pictures')
    parser.add_argument('--score-thr', type=parse_score, default=0.3, help='lowest score that is kept [0.3]')
    parser.add_argument('--batch-size', type=int, default=1, help='pairs at once [1]')
    parser.add_argument('--device', help='such as cpu or cuda:1 [the GPU if there is one]')
    parser.add_argument('--captions', metavar='STORE', help='captions that tools/captions/encode.py wrote')
    parser.add_argument('--captioner', metavar='NAME', help='write captions by this one, such as photometric')
    parser.add_argument('--encoder', metavar='NAME', help="text encoder [that of the config's captions]")
    parser.add_argument('--resume', action='store_true', help='go on with an unfinished run')
    parser.add_argument('--compile', action='store_true', help='run backbone and necks compiled')
    parser.add_argument(
        '--no-swap-check',
        dest='swap_check',
        action='store_false',
        help='detect in gray visible images beside infrared ones in colour, too',
    )
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> int:
    """Pair, detect, write and report."""
    args = parse_args()
    if args.batch_size < 1:
        raise InputError(f'--batch-size {args.batch_size}: wanted at least 1')
    if args.captions is not None and args.captioner is not None:
        raise InputError('--captions and --captioner: captions come from one of them, leave out the other')
    if args.encoder is not None and args.captioner is None:
        raise InputError('--encoder says nothing without --captioner, whose captions it would encode')
    out = args.out if args.out is not None else Path('work_dirs', Path(args.config).stem, 'found')
    pictures = check_folder(out, '--out') / 'pictures'
    found = pairs_at(args.rgb, args.ir, pictures)
    json_file = args.json if args.json is not None else pictures.with_name('detections.json')
    check_outputs(args, json_file, pictures if args.pictures else None, found.pairs)
    cfg = read_config(args.config, args.cfg_options)
    options = {'--score-thr': args.score_thr, '--captioner': args.captioner, '--encoder': args.encoder}
    identity = detection_identity(cfg, args.checkpoint, args.captions, options)
    print(f'{len(found.pairs)} pairs, {len(found.unpaired)} images without a partner', flush=True)

    from mmslg.apis.detections_file import DetectionsFile, check_dota_names
    from mmslg.apis.many_pairs import detect_in_many
    from mmslg.apis.pair_inferencer import Pair, PairInferencer
    from mmslg.visualization.pairs import write_picture

    if args.dota is not None:
        check_dota_names(pair.name for pair in found.pairs)
    inferencer = PairInferencer(
        cfg, args.checkpoint, args.device, args.captioner, args.captions, args.encoder, args.compile
    )
    results = DetectionsFile(json_file, inferencer.classes, identity, found.pairs, args.resume)
    with closing(results):
        todo = [Pair(f.visible, f.infrared, f.name) for f in found.pairs if f.name not in results.done]
        if args.resume:
            print(f'{len(results.done)} pairs are done already', flush=True)
        scaled: list[tuple[str, str]] = []
        bar = progress_bar(len(todo), 'pairs') if todo else None
        arguments = inferencer, todo, args.batch_size, args.score_thr, args.swap_check
        for pair, sample, problem in detect_in_many(*arguments):
            if sample is None:
                results.add_problem(pair.name, problem)
            else:
                if args.pictures:
                    page = inferencer.draw(pair, sample, args.score_thr)
                    write_picture(picture_of(pictures, pair.name), page)
                if 'ir_shape' in sample:
                    sizes = [f'{s[1]}x{s[0]}' for s in (sample.ir_shape, sample.ori_shape)]
                    scaled.append((pair.name, f'{sizes[0]} to {sizes[1]}'))
                results.add(pair.name, pair.infrared, sample)
            bar.update()
        done = results.done
        problems = {name: done[name]['problem'] for name in done if 'problem' in done[name]}
        problems.update(found.unpaired)
        if args.dota is not None:
            results.write_dota(args.dota)
        results.finish(problems)
    report(results.done, scaled, problems, inferencer.describe_captions())
    print(f'detections in {json_file}' + (f', pictures in {pictures}' if args.pictures else ''))
    return 1 if problems else 0


def check_outputs(
    args: argparse.Namespace, json_file: str | os.PathLike, pictures: Path | None, pairs: Sequence[PairFiles]
) -> None:
    """See that no output replaces an input or another one, before anything is loaded.

    Raises:
        InputError: One does, or cannot be written as far as a look tells.
    """
    refuse_overwriting(json_file, args.config, args.checkpoint, args.captions)
    images = {os.path.realpath(path): path for pair in pairs for path in pair[1:]}
    written = [json_file, *(picture_of(pictures, pair.name) for pair in pairs if pictures)]
    for path in written:
        refuse_overwriting(path, images.get(os.path.realpath(path)))
    if args.dota is not None:
        check_folder(args.dota, '--dota')


def picture_of(folder: Path, name: str) -> Path:
    """Return the file of a pair's picture."""
    return (folder / name).with_suffix('.jpg')


def report(done: dict, scaled: list, problems: dict[str, str], captions: str) -> None:
    """Say what came of the pairs, each problem by its name."""
    good = [record for record in done.values() if 'boxes' in record]
    print(f'{sum(len(r["boxes"]) for r in good)} detections in {len(good)} pairs; {captions}')
    if scaled:
        print(f'{len(scaled)} infrared images scaled to the visible size, the first: {" ".join(scaled[0])}')
    for name, reason in problems.items():
        print(f'problem: {reason if name in reason else f"{name}: {reason}"}', file=sys.stderr)
    if problems:
        print(f'{len(problems)} problems; everything else is complete', file=sys.stderr)


if __name__ == '__main__':
    run(main)
