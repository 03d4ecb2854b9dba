"""The command line of tools/infer_stream.py."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial

from mmslg.apis.launch import KeyValueAction, add_cfg_options, read_config
from mmslg.apis.pair_inferencer import PairInferencer
from mmslg.captions.building import check_names, import_modules
from mmslg.errors import InputError
from mmslg.streams.async_captions import AsyncCaptions, Interval, parse_interval
from mmslg.streams.caption_worker import CaptionRecipe, CaptionWorker
from mmslg.streams.frame_pairs import FramePairs
from mmslg.streams.interrupts import finished_first
from mmslg.streams.opening import open_sources
from mmslg.streams.outputs import CsvRows, JsonLines, Video, check_video
from mmslg.streams.running import Output, StreamRun
from mmslg.streams.stream_detector import StreamDetector
from mmslg.streams.tracking import Tracker
from mmslg.utils.cli import parse_score
from mmslg.utils.io import refuse_overwriting
from mmslg.utils.progress import progress_bar

VIDEO_RATE = 10.0
"""Pictures a second of a video where the sources do not say how fast they are."""
MAX_RATE = 240.0
"""Most pictures a second of a video; of faster sources, and of those below 1, it keeps the pace."""

SOURCE = 'video file, folder of numbered images, number of a camera, or address such as rtsp://...'


def parse_args(description: str | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--rgb', required=True, metavar='SOURCE', help=f'visible: {SOURCE}')
    parser.add_argument('--ir', required=True, metavar='SOURCE', help='infrared: likewise')
    parser.add_argument(
        '--fps',
        nargs='+',
        type=_positive,
        metavar='N',
        help='images a second of folders, of both or one each',
    )
    parser.add_argument(
        '--max-offset',
        type=_positive,
        metavar='SECONDS',
        help='how far apart the frames of a pair may be (folders without --fps: in frames) [half a period]',
    )
    parser.add_argument(
        '--reconnect',
        type=_seconds,
        default=30.0,
        metavar='SECONDS',
        help='how long a camera that was lost is sought before the stream ends [30]',
    )
    parser.add_argument('--max-pairs', type=int, metavar='N', help='stop after so many pairs')
    parser.add_argument('--score-thr', type=parse_score, default=0.3, help='lowest score that is kept [0.3]')
    parser.add_argument('--track', action='store_true', help='give detections the identity of their track')
    parser.add_argument(
        '--patience',
        type=_positive,
        default=2.0,
        metavar='SECONDS',
        help='how long a track outlives its last detection [2]',
    )
    _add_outputs(parser.add_argument_group('outputs, each complete also after Ctrl-C'))
    _add_captions(parser.add_argument_group('captions, written beside detection by a process of their own'))
    parser.add_argument('--device', help='cpu, cuda, cuda:1 ... [the GPU if there is one]')
    parser.add_argument('--compile', action='store_true', help='run backbone and necks compiled')
    add_cfg_options(parser)
    return parser.parse_args()


def _add_outputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--video', metavar='FILE', help='both pictures with boxes: .mp4, .mkv or .avi')
    group.add_argument('--jsonl', metavar='FILE', help='a JSON object a pair')
    group.add_argument('--csv', metavar='FILE', help='a row a detection')


def _add_captions(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--captioner', metavar='NAME', help='registered name; without it none are given')
    group.add_argument(
        '--caption-every',
        type=parse_interval,
        default=Interval(seconds=2.0),
        metavar='N|SECONDSs',
        help='pairs such as 30, or seconds such as 2s [2s]',
    )
    group.add_argument('--encoder', metavar='NAME', help='text encoder that the model was trained with')
    for what in ('captioner', 'encoder'):
        group.add_argument(
            f'--{what}-options', nargs='+', action=KeyValueAction, default={}, metavar='KEY=VALUE'
        )
    group.add_argument(
        '--import',
        dest='modules',
        action='append',
        default=[],
        metavar='MODULE',
        help='import this module first; it may register a captioner or encoder of yours (may be repeated)',
    )


def detect_in_stream(description: str | None) -> None:
    """Detect in the stream that the command line names, and report."""
    args = parse_args(description)
    _check(args)
    cfg = read_config(args.config, args.cfg_options)
    interrupt: BaseException | None = None
    with ExitStack() as stack:
        sources = open_sources(args.rgb, args.ir, args.fps, args.reconnect)
        pairs = FramePairs(*sources, tolerance=args.max_offset)
        stack.callback(pairs.close)
        captions = _start_captions(args, stack)
        tracker = Tracker(args.score_thr, args.patience) if args.track else None
        inferencer = PairInferencer(cfg, args.checkpoint, args.device, compile=args.compile)
        detector = StreamDetector(inferencer, captions is not None)
        outputs = _open_outputs(args, inferencer.classes, pairs, stack)
        run = StreamRun(pairs, detector, captions, detector.use_caption, tracker, outputs, args.score_thr)
        try:
            run.run(args.max_pairs, _progress(pairs, args.max_pairs))
        except (KeyboardInterrupt, SystemExit) as error:
            interrupt = error
        if not run.count and interrupt is None:
            raise InputError(f'{args.rgb} and {args.ir}: no pair came: {"; ".join(pairs.remarks())}')
        with finished_first():
            stack.close()
            print('\n'.join([*run.remarks(), *_written(args)]), flush=True)
    if interrupt is not None:
        raise interrupt


def _check(args: argparse.Namespace) -> None:
    """Refuse what does not go together, before anything is opened."""
    if args.max_pairs is not None and args.max_pairs < 1:
        raise InputError(f'--max-pairs {args.max_pairs}: wanted at least 1')
    if args.fps is not None and len(args.fps) > 2:
        raise InputError(f'--fps: wanted one or two rates, got {len(args.fps)}')
    if args.captioner is not None and args.encoder is None:
        raise InputError(
            '--captioner wants --encoder as well: the text encoder that the model was trained with, such as '
            '--encoder open_clip --encoder-options model=ViT-B-16-quickgelu pretrained=openai'
        )
    of_captions = args.encoder is not None, args.captioner_options, args.encoder_options, args.modules
    if args.captioner is None and any(of_captions):
        raise InputError('--encoder, --import and options of captions say nothing without --captioner')
    files = [path for path in (args.video, args.jsonl, args.csv) if path is not None]
    for path in files:
        frames = [os.path.join(source, os.path.basename(path)) for source in (args.rgb, args.ir)]
        refuse_overwriting(path, args.config, args.checkpoint, args.rgb, args.ir, *frames)
    if len({os.path.realpath(path) for path in files}) < len(files):
        raise InputError('two outputs have the same name; wanted a file each')
    if args.video is not None:
        check_video(args.video)
    if args.captioner is not None:
        import_modules(args.modules)
        check_names(args.captioner, args.captioner_options, args.encoder, args.encoder_options)


def _start_captions(args: argparse.Namespace, stack: ExitStack) -> AsyncCaptions | None:
    if args.captioner is None:
        print('captions: none, the model is told nothing')
        return None
    recipe = CaptionRecipe(
        args.captioner, args.encoder, args.captioner_options, args.encoder_options, args.modules
    )
    captions = AsyncCaptions(CaptionWorker(recipe), args.caption_every)
    stack.callback(captions.close)
    often = args.caption_every
    every = f'{often.pairs} pairs' if often.pairs else f'{often.seconds:g} s'
    print(f'captions: by {args.captioner} every {every}; until the first is done the model is told nothing')
    return captions


def _open_outputs(
    args: argparse.Namespace, classes: Sequence[str], pairs: FramePairs, stack: ExitStack
) -> list[Output]:
    rate = pairs.rate or VIDEO_RATE
    video = partial(Video, rate=min(max(rate, 1.0), MAX_RATE), paced=pairs.live or not 1 <= rate <= MAX_RATE)
    kinds = (args.video, video), (args.jsonl, JsonLines), (args.csv, CsvRows)
    return [make(path, classes, stack) for path, make in kinds if path is not None]


def _written(args: argparse.Namespace) -> list[str]:
    paths = [path for path in (args.video, args.jsonl, args.csv) if path is not None]
    return [f'written: {path}' for path in paths] or ['written: nothing, see --video, --jsonl and --csv']


def _progress(pairs: FramePairs, limit: int | None) -> Callable[[], object]:
    """Return what counts the pairs on standard error; without a known end there is none."""
    total = min(filter(None, (pairs.left(), limit)), default=None)
    return progress_bar(total, 'pairs').update if total else lambda: None


def _seconds(text: str) -> float:
    return 0.0 if text == '0' else _positive(text)


def _positive(text: str) -> float:
    with suppress(ValueError):
        value = float(text)
        if 0 < value < float('inf'):
            return value
    raise argparse.ArgumentTypeError(f'wanted a number above 0, got {text!r}')
