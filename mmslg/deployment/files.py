"""A graph written as ONNX, as a program of torch.export, or for OpenVINO."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmslg.deployment.dino import DinoGraph
from mmslg.deployment.graphs import FeatureGraph
from mmslg.errors import InputError

INPUTS = ('visible', 'infrared', 'text')
OPSET = 18
HALF_OPS = ('Conv', 'ConvTranspose', 'MatMul', 'Gemm')
"""Operators that run in half precision: where the time and the weights are. The rest stays float32."""


def export_program(
    graph: FeatureGraph, batch_size: int | None, text_shape: tuple[int, ...] | None
) -> torch.export.ExportedProgram:
    """Trace a graph.

    Args:
        graph: The graph.
        batch_size: Pairs in a batch, None for any number.
        text_shape: Shape of a caption's embedding; None takes the pooled one.
    """
    example = graph.example(batch_size or 2, text_shape)
    shapes = None
    if batch_size is None:
        batch = torch.export.Dim('batch', min=1)
        shapes = {name: {0: batch} for name in INPUTS[: len(example)]}
    with torch.no_grad(), _quiet():
        return torch.export.export(graph, example, dynamic_shapes=shapes, strict=False)


def write_onnx(
    path: Path,
    graph: FeatureGraph,
    batch_size: int | None,
    text_shape: tuple[int, ...] | None,
    facts: dict[str, Any],
    half: bool = False,
) -> None:
    """Write a graph as ONNX with facts in its metadata, each in JSON.

    Args:
        path: File.
        graph: The graph.
        batch_size: Pairs in a batch, None for any number.
        text_shape: Shape of a caption's embedding; None takes the pooled one.
        facts: Go into ``metadata_props``.
        half: Convolutions and products of matrices in float16.
    """
    onnx, float16, model_type = _packages()
    outputs = output_names(graph)
    if isinstance(graph, DinoGraph):
        model = _by_tracing(graph, batch_size or 1, text_shape, outputs)
    else:
        model = _by_export(graph, batch_size, text_shape, outputs)
    if half:
        others = sorted({node.op_type for node in _nodes(model)} - set(HALF_OPS))
        with _quiet():
            model = float16.convert_float_to_float16(model, keep_io_types=True, op_block_list=others)
        sorting = model_type(model)  # the casts were appended at the end
        sorting.topological_sort()
        model = sorting.model
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in facts.items()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _by_export(graph: FeatureGraph, batch_size: int | None, text_shape: Any, outputs: list[str]) -> Any:
    program = export_program(graph, batch_size, text_shape)
    buffer = io.BytesIO()
    with _quiet():
        torch.onnx.export(
            program,
            (),
            dynamo=True,
            opset_version=OPSET,
            custom_translation_table={torch.ops.mmslg.keep_best.default: _keep_best_in_onnx},
            input_names=list(INPUTS[: 2 if graph.text_dims is None else 3]),
            output_names=outputs,
        ).save(buffer)
    return _packages()[0].load_from_string(buffer.getvalue())


def _by_tracing(graph: FeatureGraph, batch_size: int, text_shape: Any, outputs: list[str]) -> Any:
    """Shapes in mmcv's deformable attention are tensors, of which only the older exporter makes constants."""
    buffer = io.BytesIO()
    example = graph.example(batch_size, text_shape)
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            graph,
            example,
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(INPUTS[: len(example)]),
            output_names=outputs,
        )
    return _packages()[0].load_from_string(buffer.getvalue())


def _keep_best_in_onnx(boxes, scores, iou_threshold):
    """``keep_best`` as a NonMaxSuppression over the batch and a mask of what it selected."""
    import onnxscript
    from onnxscript import opset18 as ops

    selected = ops.NonMaxSuppression(boxes, ops.Unsqueeze(scores, [1]), 2**31 - 1, iou_threshold)
    places = ops.Gather(selected, [0, 2], axis=1)
    nothing = ops.Cast(ops.Mul(scores, 0.0), to=onnxscript.FLOAT.dtype)
    ones = ops.Expand(1.0, ops.Slice(ops.Shape(selected), [0], [1]))
    return ops.Cast(ops.ScatterND(nothing, places, ones), to=onnxscript.BOOL.dtype)


def write_openvino(path: Path, onnx_file: Path, half: bool = False) -> None:
    """Convert an ONNX file by OpenVINO's converter to ``.xml`` and ``.bin``, its metadata included.

    Raises:
        InputError: OpenVINO is not installed.
    """
    try:
        import openvino
    except ImportError:
        raise InputError('--format openvino needs openvino: pip install -r requirements/deploy.txt') from None
    model = openvino.convert_model(str(onnx_file))
    onnx = _packages()[0]
    for entry in onnx.load(str(onnx_file), load_external_data=False).metadata_props:
        model.set_rt_info(entry.value, ['mmslg', entry.key])
    openvino.save_model(model, str(path), compress_to_fp16=half)


def write_torch(path: Path, program: torch.export.ExportedProgram, facts: dict[str, Any]) -> None:
    """Write a program of torch.export; the facts lie in it as ``mmslg.json``."""
    torch.export.save(program, str(path), extra_files={'mmslg.json': json.dumps(facts)})


def _packages() -> tuple[Any, Any, Any]:
    """Return onnx, onnxruntime's converter to float16, and what sorts its graphs.

    Raises:
        InputError: They or onnxscript are not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  torch.onnx takes it
        from onnxruntime.transformers import float16
        from onnxruntime.transformers.onnx_model import OnnxModel
    except ImportError as error:
        raise InputError(
            f'the export needs packages that are missing ({error}): pip install -r requirements/deploy.txt'
        ) from None
    return onnx, float16, OnnxModel


def output_names(graph: FeatureGraph) -> list[str]:
    """Return the names of what a graph returns."""
    if type(graph) is not FeatureGraph:
        return ['boxes', 'scores', 'labels']
    with torch.no_grad():
        levels: tuple[Tensor, ...] = graph(*graph.example(1))
    return [f'stride_{graph.padded_size[0] // level.shape[-1]}' for level in levels]


def _nodes(model: Any) -> Iterator[Any]:
    yield from model.graph.node
    for function in model.functions:
        yield from function.node


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what exporters tell of their own progress to ourselves."""
    loggers = [logging.getLogger(name) for name in ('torch.onnx', 'torch.export', 'onnxscript', 'onnx_ir')]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
