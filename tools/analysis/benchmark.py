"""Measure time and memory of a detector as multiples of its bare frozen trunk.

Three things are measured in turn, in one run: the trunk alone, backbone + necks, the whole detector. A
training step is forward and backward, without the optimizer. Weights are random and images are noise;
neither changes the time of trunk, backbone and necks.
"""

import argparse
import os
import subprocess
import sys

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

import torch
from mmengine.config import Config

from mmslg.apis.configs import require
from mmslg.apis.launch import add_analysis_arguments, read_config
from mmslg.apis.profiling import build_detector, check_size, find_parts, toy_batch
from mmslg.apis.timing import (
    PHASES,
    VARIANTS,
    Clock,
    build_alone,
    detector_variant,
    features_variant,
    interleave,
    measured_layers,
    peak_bytes,
    ratios,
    reset_peak,
    spread,
    trunk_variant,
)
from mmslg.errors import InputError
from mmslg.models.compilation import compile_features
from mmslg.utils.cli import parse_positive, parse_size, run
from mmslg.utils.io import refuse_overwriting, write_json
from mmslg.utils.progress import progress_bar

MEMORY = ('libraries', *PHASES)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_analysis_arguments(parser)
    parser.add_argument(
        '--size', type=parse_size, nargs='+', default=[(640, 512)], metavar='WxH', help='pixels [640x512]'
    )
    parser.add_argument('--batch', type=parse_positive, nargs='+', default=[1], help='pairs in a batch [1]')
    parser.add_argument('--repeats', type=parse_positive, default=5, help='counted rounds [5]')
    parser.add_argument(
        '--variants',
        nargs='+',
        choices=list(VARIANTS),
        default=list(VARIANTS),
        help='what to measure beside the trunk [all]',
    )
    parser.add_argument('--breakdown', action='store_true', help='also time every layer on top of the trunk')
    parser.add_argument(
        '--amp', action='store_true', help='autocast over the features: fp16 on a GPU, bf16 on a CPU'
    )
    parser.add_argument(
        '--dtype', choices=('float32', 'bfloat16'), help='precision of the frozen trunk [as the config says]'
    )
    parser.add_argument(
        '--compile', action='store_true', help='compile trunk, backbone and necks; layers and head are not'
    )
    parser.add_argument(
        '--stream',
        nargs='*',
        choices=('inferencer', 'compiled', 'onnx', 'onnx-fp16', 'openvino', 'openvino-fp16'),
        help='instead: pairs a second of these, at every --size and --batch [all]',
    )
    parser.add_argument('--checkpoint', help='weights for --stream [random]')
    parser.add_argument('--alone', choices=list(VARIANTS), help=argparse.SUPPRESS)  # in a subprocess
    args = parser.parse_args()
    args.sizes, args.batches = args.size, args.batch
    if args.stream is None and (len(args.sizes) > 1 or len(args.batches) > 1):
        parser.error('several --size or --batch belong to --stream')
    args.size, args.batch = args.sizes[0], args.batches[0]
    return args


def read_settings(args: argparse.Namespace) -> Config:
    """Read the config, with the precision that was asked for."""
    cfg = read_config(args.config, args.cfg_options)
    require(cfg, 'model')
    if args.dtype is not None:
        cfg.merge_from_dict({'model.backbone.trunk.dtype': args.dtype})
    return cfg


def run_alone(args: argparse.Namespace, device: str) -> None:
    """Run one variant once in this process; print bytes held before there is a model, and both peaks."""
    held = peak_bytes(device)
    variant = build_alone(args.alone, read_settings(args), args.size, args.batch, device, args.compile)
    clock = Clock(device, args.amp)
    peaks = []
    for phase in PHASES:
        reset_peak(device)
        clock.run(getattr(variant, phase), phase)
        peaks.append(peak_bytes(device))
    print(held, *peaks)


def measure_memory(name: str) -> dict[str, float | None]:
    """Return in GB what libraries hold and the peaks of one variant in a process of its own.

    None stands in their place if it did not survive.
    """
    command = [sys.executable, '-W', 'ignore', *sys.argv, '--alone', name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 1:
        raise InputError(done.stderr.strip().splitlines()[-1].removeprefix('error: '))
    if done.returncode:
        return dict.fromkeys(MEMORY)
    return {key: int(found) / 1e9 for key, found in zip(MEMORY, done.stdout.split()[-3:])}


def measure_times(args: argparse.Namespace, names: list[str], device: str) -> dict:
    """Time all variants in turn, and the layers on top of the trunk if asked for."""
    cfg = read_settings(args)
    model = build_detector(cfg).to(device)
    parts = find_parts(model)
    batch = toy_batch(model, cfg, args.size, args.batch)
    inputs = batch['inputs']
    variants = {'trunk': trunk_variant(parts.trunk, inputs['rgb'], args.compile)}
    if 'backbone' in names:
        variants['backbone'] = features_variant(model.backbone, model.neck, inputs)
    if 'detector' in names:
        variants['detector'] = detector_variant(model, batch)
    clock = Clock(device, args.amp)
    layers = {}
    if args.breakdown:
        with torch.no_grad(), torch.autocast(device, enabled=args.amp):
            layers = measured_layers(parts, inputs)
    rounds = args.repeats + 1
    if args.compile:
        compile_features(model)
    bar = progress_bar(rounds * (2 * len(variants) + (len(layers) + 1 if layers else 0)), 'runs')

    def after_each() -> None:
        model.zero_grad()
        bar.update()

    seconds = {}
    for phase in PHASES:
        calls = {name: getattr(variant, phase) for name, variant in variants.items()}
        seconds[phase] = interleave(calls, phase, clock, args.repeats, after_each)
    if layers:
        calls = {'trunk': variants['trunk'].forward, **layers}
        seconds['breakdown'] = interleave(calls, 'forward', clock, args.repeats, after_each)
    return seconds


def run_stream(args: argparse.Namespace) -> None:
    """Measure the inferencer and deployed files beside the bare trunk, and report."""
    from mmslg.deployment.stream_timing import RUNNERS, format_stream, measure_stream

    cfg = read_settings(args)
    runners = args.stream or RUNNERS
    rows = measure_stream(cfg, args.checkpoint, args.sizes, args.batches, runners, args.repeats)
    weights = args.checkpoint or 'random weights'
    threads = f'{torch.get_num_threads()} threads, torch {torch.__version__}'
    print(f'{args.config}: {weights}, {threads}; medians of {args.repeats} rounds in turn')
    print(format_stream(rows))
    if args.json is not None:
        write_json(args.json, dict(config=args.config, rows=[row._asdict() for row in rows]), indent=2)


def summarise(seconds: dict, peaks: dict) -> tuple[dict, list[dict]]:
    """Turn raw seconds into the figures of both tables."""
    figures = {}
    for name in seconds['forward']:
        figures[name] = {
            phase: {
                'seconds': spread(seconds[phase][name]),
                'ratio': ratios(seconds[phase][name], seconds[phase]['trunk']),
            }
            for phase in PHASES
        }
        figures[name]['peak_gb'] = peaks[name]
    raw = seconds.get('breakdown', {})
    breakdown = [
        {
            'layer': name,
            'ms': spread(values)['median'] * 1e3,
            'percent_of_trunk': ratios(values, raw['trunk'])['median'] * 100,
        }
        for name, values in raw.items()
        if name != 'trunk'
    ]
    return figures, breakdown


def format_tables(figures: dict, breakdown: list[dict]) -> str:
    """Format both tables."""

    def cells(entry: dict) -> str:
        ratio = entry['ratio']
        span = f'({ratio["min"]:.2f}-{ratio["max"]:.2f})'
        return f'{entry["seconds"]["median"]:10.3f}{ratio["median"]:8.2f} {span:<12}'

    def gigabytes(value: float | None) -> str:
        return f'{"failed":>9}' if value is None else f'{value:9.2f}'

    head = f'{"":18}{"forward s":>10}{"x":>8} {"(min-max)":<12}{"step s":>10}{"x":>8} {"(min-max)":<12}'
    lines = [f'{head}{"peak GB:":>9}{"forward":>9}{"step":>9}']
    for name, entry in figures.items():
        memory = ''.join(gigabytes(entry['peak_gb'][phase]) for phase in PHASES)
        lines.append(f'{VARIANTS[name]:18}{cells(entry["forward"])}{cells(entry["step"])}{"":9}{memory}')
    if breakdown:
        lines += ['', f'{"on top of the trunk":26}{"ms":>9}{"% of trunk forward":>20}']
        total = {key: sum(row[key] for row in breakdown) for key in ('ms', 'percent_of_trunk')}
        rows = [*breakdown, {'layer': '= all', **total}]
        lines += [f'{row["layer"]:26}{row["ms"]:9.1f}{row["percent_of_trunk"]:20.1f}' for row in rows]
    return '\n'.join(lines)


def describe_precision(cfg: Config, args: argparse.Namespace) -> str:
    """Say in what precision is measured, and whether compiled."""
    trunk = cfg.model.backbone.trunk.get('dtype', 'float32')
    words = ['features under autocast' if args.amp else 'fp32']
    if trunk != 'float32':
        words.append(f'trunk in {trunk}')
    if args.compile:
        words.append('compiled')
    return ', '.join(words)


def describe_memory(libraries: float | None, device: str) -> str:
    """Say what the peaks count."""
    if device == 'cuda':
        return 'tensors on the GPU'
    share = '' if libraries is None else f', {libraries:.2f} GB before there is a model'
    return f'the whole process, libraries included{share}'


def main() -> None:
    """Measure memory, then time, and report."""
    args = parse_args()
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    if args.alone:
        run_alone(args, device)
        return
    refuse_overwriting(args.json, args.config)
    if args.stream is not None:
        run_stream(args)
        return
    cfg = read_settings(args)
    check_size(cfg, args.size)
    names = [name for name in VARIANTS if name == 'trunk' or name in args.variants]
    # Memory first: this process is still small, and all of it is there for the others.
    peaks = {}
    bar = progress_bar(len(names), 'measurements of memory')
    for name in names:
        peaks[name] = measure_memory(name)
        bar.update()
    seconds = measure_times(args, names, device)
    figures, breakdown = summarise(seconds, peaks)
    precision = describe_precision(cfg, args)
    print(
        f'{args.config}: {args.size[0]}x{args.size[1]}, batch {args.batch}, {precision}, {device}, '
        f'{torch.get_num_threads()} threads, torch {torch.__version__}; medians of {args.repeats} rounds'
    )
    print(format_tables(figures, breakdown))
    print(f'peak: {describe_memory(peaks["trunk"]["libraries"], device)}')
    if args.json is not None:
        data = {
            'config': args.config,
            'size': list(args.size),
            'batch': args.batch,
            'repeats': args.repeats,
            'precision': precision,
            'device': device,
            'threads': torch.get_num_threads(),
            'torch': torch.__version__,
            'variants': figures,
            'breakdown': breakdown,
        }
        write_json(args.json, data, indent=2)


if __name__ == '__main__':
    run(main)
