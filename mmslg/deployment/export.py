"""From a config and a checkpoint to a file that runs elsewhere, checked against the detector."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mmslg.apis.pair_inferencer import Pair, PairInferencer
from mmslg.deployment import files, parity
from mmslg.deployment.dense import DenseGraph
from mmslg.deployment.dino import DinoGraph
from mmslg.deployment.facts import describe, resized
from mmslg.deployment.graphs import FeatureGraph
from mmslg.deployment.running import (
    Run,
    deployed_detections,
    eager_detections,
    full_batches,
    load_runner,
    to_arrays,
)
from mmslg.errors import InputError
from mmslg.utils.io import atomic_path, refuse_overwriting
from mmslg.visualization.samples import build_split

SUFFIXES = {'onnx': '.onnx', 'torch': '.pt2', 'openvino': '.xml'}
PARTS = ('detector', 'features')
MAX_FEATURE_DIFFERENCE = 1e-3
"""Largest difference of feature maps, of their largest value."""
HALF_PIXELS, HALF_SCORE, HALF_SHARE, HALF_DIFFERENCE = 2.0, 0.02, 0.98, 0.05
"""What float16 is held to."""


def export_detector(
    inferencer: PairInferencer,
    checkpoint: str,
    out: str,
    file_format: str = 'onnx',
    part: str = 'detector',
    batch_size: int | None = 1,
    size: tuple[int, int] | None = None,
    half: bool = False,
    num_pairs: int = 20,
    pairs: Sequence[Pair] | None = None,
) -> list[str]:
    """Write a detector into a file, and compare both on pairs first.

    Args:
        inferencer: Config and checkpoint.
        checkpoint: Its file, for the metadata.
        out: The file; its suffix is the one of the format.
        file_format: ``'onnx'``, ``'torch'`` or ``'openvino'``.
        part: ``'detector'`` with boxes, scores and labels, or ``'features'``: backbone and necks.
        batch_size: Pairs in a batch, None for any number.
        size: Width and height of the pairs as they come, in pixels; None takes the first compared pair's,
            or without one the scale of the test pipeline.
        half: Float16 where the time goes.
        num_pairs: Pairs that are compared, at most; 0 for none.
        pairs: Where they are taken from, evenly; None takes the test split.

    Returns:
        What was written and what the comparison said, in lines.

    Raises:
        InputError: The detector cannot be written like this, or the file finds something else.
    """
    suffix = SUFFIXES[file_format]
    if not out.endswith(suffix):
        raise InputError(f'--out {out}: --format {file_format} wants a name that ends in {suffix}')
    if half and file_format == 'torch':
        raise InputError('--fp16 with --format torch: wanted float32; move the loaded program by .half()')
    refuse_overwriting(out, checkpoint)
    packed = sample_pairs(inferencer, num_pairs, size, pairs)
    text_shape = (
        tuple(packed[0]['inputs']['text'].shape) if packed and 'text' in packed[0]['inputs'] else None
    )
    content = tuple(packed[0]['inputs']['img'].shape[:0:-1]) if packed else resized(inferencer.cfg, size)
    graph = build_graph(inferencer.model, content, part, onnx=file_format != 'torch')
    if isinstance(graph, DinoGraph):
        if file_format == 'torch':
            raise InputError('--format torch: DINO reads shapes from tensors, which torch.export refuses')
        if batch_size is None:
            raise InputError('--batch dynamic: DINO is written for a fixed batch; give its number')
    if text_shape is None and graph.text_dims:
        text_shape = (4, graph.text_dims)
    facts = describe(inferencer.cfg, checkpoint, inferencer.classes) | dict(
        part=part,
        input_size=list(content),
        batch=batch_size or 'dynamic',
        text_shape=list(text_shape) if graph.text_dims else None,
        precision='float16' if half else 'float32',
    )
    with tempfile.TemporaryDirectory(prefix='mmslg-export-') as folder:
        draft = Path(folder, f'model{suffix}')
        write(draft, graph, file_format, batch_size, text_shape, facts, half)
        lines = compare_with(inferencer.model, graph, draft, packed, batch_size, half)
        size_mb = _publish(draft, Path(out)) / 1e6
    return [f'{out}: {part}, {content[0]}x{content[1]} pixels, {size_mb:.1f} MB', *lines]


def build_graph(model: nn.Module, size: tuple[int, int], part: str, onnx: bool = True) -> FeatureGraph:
    """Return the graph of a detector or of its features.

    Raises:
        InputError: The head is none that can be written.
    """
    if part == 'features':
        return FeatureGraph(model, size)
    fault = DenseGraph.fault(model)
    if fault is None:
        return DenseGraph(model, size, onnx)
    if DinoGraph.fault(model) is None:
        return DinoGraph(model, size)
    raise InputError(f'{fault}: its head cannot be written; --part features writes backbone and necks')


def sample_pairs(
    inferencer: PairInferencer,
    number: int,
    size: tuple[int, int] | None,
    pairs: Sequence[Pair] | None = None,
) -> list[dict]:
    """Return pairs as the test pipeline packs them, evenly chosen, of one size all.

    Args:
        inferencer: Config and checkpoint.
        number: How many, at most.
        size: Width and height of the pairs as they come; None takes those of the first pair's size.
        pairs: What to choose from; None is the test split.

    Raises:
        InputError: The test split is not there, a pair cannot be read, or none is of this size.
    """
    if not number:
        return []
    if pairs is None:
        try:
            dataset = build_split(inferencer.cfg, 'test')
        except InputError as error:
            raise InputError(
                f'{error}; the comparison wants its pairs: give others by --verify FOLDER, or 0 goes without'
            ) from None
    else:
        dataset = pairs
    chosen = np.linspace(0, len(dataset) - 1, min(number, len(dataset))).astype(int)
    packed = [dataset[index] if pairs is None else inferencer.pack(pairs[index]) for index in chosen.tolist()]
    wanted = resized(inferencer.cfg, size) if size else tuple(packed[0]['inputs']['img'].shape[:0:-1])
    fitting = [sample for sample in packed if tuple(sample['inputs']['img'].shape[:0:-1]) == wanted]
    if not fitting:
        raise InputError(f'none of the compared pairs becomes {wanted[0]}x{wanted[1]} pixels; see --size')
    return fitting


def write(
    path: Path,
    graph: FeatureGraph,
    file_format: str,
    batch_size: int | None,
    text_shape: tuple[int, ...] | None,
    facts: dict[str, Any],
    half: bool = False,
) -> None:
    """Write a graph in one of the formats; see :mod:`mmslg.deployment.files`."""
    if file_format == 'torch':
        files.write_torch(path, files.export_program(graph, batch_size, text_shape), facts)
    elif file_format == 'onnx':
        files.write_onnx(path, graph, batch_size, text_shape, facts, half)
    else:
        onnx_file = path.with_suffix('.onnx')
        files.write_onnx(onnx_file, graph, batch_size, text_shape, facts)
        files.write_openvino(path, onnx_file, half)


def compare_with(
    model: nn.Module,
    graph: FeatureGraph,
    path: Path,
    packed: Sequence[dict],
    batch_size: int | None,
    half: bool = False,
) -> list[str]:
    """Compare a file with the detector on pairs, and say how well they agree.

    Raises:
        InputError: They do not agree.
    """
    if not packed:
        return ['not compared with the checkpoint']
    run = load_runner(path)
    with_text = graph.text_dims is not None
    if type(graph) is FeatureGraph:
        return [_compare_features(graph, run, packed, batch_size or 2, half)]
    found = deployed_detections(run, packed, with_text, batch_size or 2)
    tolerances = (HALF_PIXELS, HALF_SCORE) if half else (parity.MAX_PIXELS, parity.MAX_SCORE)
    result = parity.compare(eager_detections(model, packed), found, *tolerances)
    parity.check(result, path.suffix[1:].upper(), HALF_SHARE if half else 0.999)
    return [str(result)]


def _compare_features(
    graph: FeatureGraph, run: Run, packed: Sequence[dict], batch_size: int, half: bool
) -> str:
    def reference(*arrays: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            return [level.numpy() for level in graph(*map(torch.from_numpy, arrays))]

    with_text = graph.text_dims is not None
    inputs = [to_arrays(filled, with_text) for _, filled in full_batches(packed, batch_size)]
    difference = parity.feature_difference(reference, run, inputs)
    if difference > (HALF_DIFFERENCE if half else MAX_FEATURE_DIFFERENCE):
        raise InputError(f'the file gives other features: they differ by {difference:.2g} of the largest')
    return f'features of {len(packed)} pairs differ by at most {difference:.1g} of the largest'


def _publish(draft: Path, out: Path) -> int:
    """Put a draft, and the weights beside OpenVINO's, in their place; return their bytes."""
    written = 0
    for source, target in ((draft.with_suffix('.bin'), out.with_suffix('.bin')), (draft, out)):
        if source.is_file() and (source == draft or draft.suffix == '.xml'):
            with atomic_path(target) as temporary:
                temporary.write_bytes(source.read_bytes())
            written += target.stat().st_size
    return written
