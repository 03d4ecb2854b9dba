"""Pairs a second of the inferencer and of deployed files, as ratios to the bare trunk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import nn

from mmslg.apis.pair_inferencer import Pair, PairInferencer
from mmslg.apis.profiling import build_detector, find_parts
from mmslg.apis.timing import Clock, interleave, ratios, spread, trunk_variant
from mmslg.deployment.export import SUFFIXES, build_graph, write
from mmslg.deployment.facts import resized, step_of
from mmslg.deployment.running import load_runner, to_arrays
from mmslg.utils.progress import progress_bar

RUNNERS = ('inferencer', 'compiled', 'onnx', 'onnx-fp16', 'openvino', 'openvino-fp16')


class Row(NamedTuple):
    """Figures of one runner at one size and batch."""

    size: tuple[int, int]
    batch: int
    runner: str
    pairs_per_second: float
    ratio: dict[str, float]


def measure_stream(
    cfg: Config,
    checkpoint: str | None,
    sizes: Sequence[tuple[int, int]],
    batches: Sequence[int],
    runners: Sequence[str],
    repeats: int,
) -> list[Row]:
    """Time runners in turn, from two images in memory to detections.

    Args:
        cfg: The config; its test pipeline is set to each size.
        checkpoint: Weights; None takes random ones, which find next to nothing.
        sizes: Widths and heights in pixels.
        batches: Pairs in a batch.
        runners: Of ``RUNNERS``; the bare trunk, in the precision of the config, comes first by itself.
        repeats: Counted rounds.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    rows = []
    with tempfile.TemporaryDirectory(prefix='mmslg-stream-') as folder:
        weights = checkpoint or _random_weights(cfg, Path(folder, 'random.pth'))
        for size in sizes:
            cfg = deepcopy(cfg)  # Config.copy() shares the pipeline with the caller
            step_of(cfg, 'Resize')['scale'] = size
            for batch in batches:
                calls = _calls(cfg, weights, size, batch, runners, Path(folder), device)
                bar = progress_bar(len(calls) * (repeats + 1), 'runs')
                seconds = interleave(calls, 'forward', Clock(device), repeats, bar.update)
                rows += [
                    Row(size, batch, name, batch / spread(taken)['median'], ratios(taken, seconds['trunk']))
                    for name, taken in seconds.items()
                ]
    return rows


def format_stream(rows: Sequence[Row]) -> str:
    """Format rows as a table; ratios are of time, smaller is faster."""
    lines = [f'{"size":>10}{"batch":>7}  {"":14}{"pairs/s":>9}{"x trunk":>9} (min-max)']
    for row in rows:
        size = f'{row.size[0]}x{row.size[1]}'
        span = f'({row.ratio["min"]:.2f}-{row.ratio["max"]:.2f})'
        lines.append(
            f'{size:>10}{row.batch:7}  {row.runner:14}{row.pairs_per_second:9.2f}'
            f'{row.ratio["median"]:9.2f} {span}'
        )
    return '\n'.join(lines)


def _random_weights(cfg: Config, path: Path) -> str:
    model = build_detector(cfg.copy(), keep_trunk=True)
    classes = tuple(cfg.test_dataloader.dataset.metainfo.classes)
    torch.save({'state_dict': model.state_dict(), 'meta': {'dataset_meta': {'classes': classes}}}, path)
    return str(path)


def _calls(
    cfg: Config,
    checkpoint: str,
    size: tuple[int, int],
    batch: int,
    runners: Sequence[str],
    folder: Path,
    device: str,
) -> dict[str, Callable[[], Any]]:
    inferencer = PairInferencer(cfg, checkpoint)
    rng = np.random.default_rng(0)
    width, height = size
    pairs = [
        Pair(
            rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
            rng.integers(0, 256, (height, width), dtype=np.uint8),
        )
        for _ in range(batch)
    ]
    collated = pseudo_collate([inferencer.pack(pair) for pair in pairs])
    padded = inferencer.model.data_preprocessor(collated, False)['inputs']['rgb']
    calls: dict[str, Callable[[], Any]] = {
        'trunk': trunk_variant(find_parts(inferencer.model).trunk, padded).forward
    }
    for name in runners:
        if name in ('inferencer', 'compiled'):
            chosen = inferencer if name == 'inferencer' else PairInferencer(cfg, checkpoint, compile=True)
            calls[name] = lambda chosen=chosen: chosen.predict(pairs)
        else:
            calls[name] = _deployed(inferencer, name, pairs, folder, device)
    return calls


def _deployed(
    inferencer: PairInferencer, name: str, pairs: Sequence[Pair], folder: Path, device: str
) -> Callable[[], Any]:
    """Write a file for these pairs and return what runs it, the test pipeline in front."""
    file_format, _, precision = name.partition('-')
    model: nn.Module = inferencer.model
    packed = inferencer.pack(pairs[0])
    graph = build_graph(model, resized(inferencer.cfg, pairs[0].visible.shape[1::-1]), 'detector')
    text = packed['inputs'].get('text')
    path = folder / f'{name}_{len(pairs)}{SUFFIXES[file_format]}'
    write(
        path, graph, file_format, len(pairs), text if text is None else tuple(text.shape), {}, bool(precision)
    )
    run = load_runner(path, device)
    return lambda: run(*to_arrays([inferencer.pack(pair) for pair in pairs], text is not None))
