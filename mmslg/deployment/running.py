"""Deployed files behind one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import nn

from mmslg.deployment.parity import Found

Run = Callable[..., list[np.ndarray]]


def load_runner(path: Path, device: str = 'cpu') -> Run:
    """Return a function from arrays (visible, infrared, text) to arrays, for a file of any of the formats.

    Args:
        path: ``.onnx``, ``.xml`` or ``.pt2``.
        device: ``'cuda'`` lets onnxruntime take the GPU if its build can; the other formats run on the CPU.
    """
    if path.suffix == '.onnx':
        import onnxruntime

        wanted = ['CUDAExecutionProvider'] if device == 'cuda' else []
        present = [name for name in wanted if name in onnxruntime.get_available_providers()]
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')  # as OMP_WAIT_POLICY=PASSIVE
        providers = [*present, 'CPUExecutionProvider']
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        names = [entry.name for entry in session.get_inputs()]
        return lambda *arrays: session.run(None, dict(zip(names, arrays)))
    if path.suffix == '.xml':
        import openvino

        compiled = openvino.Core().compile_model(str(path), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
        return lambda *arrays: list(compiled(list(arrays)).values())
    module = torch.export.load(str(path)).module()

    @torch.no_grad()
    def run(*arrays: np.ndarray) -> list[np.ndarray]:
        return [value.numpy() for value in module(*map(torch.from_numpy, arrays))]

    return run


def to_arrays(packed: Sequence[dict], with_text: bool) -> list[np.ndarray]:
    """Return the inputs of a graph for samples of the test pipeline, which are of one size."""
    images = np.stack([sample['inputs']['img'].numpy() for sample in packed])
    arrays = [images[:, :3].transpose(0, 2, 3, 1), images[:, 3]]
    if with_text:
        arrays.append(np.stack([np.asarray(sample['inputs']['text'], np.float32) for sample in packed]))
    return [np.ascontiguousarray(array) for array in arrays]


def full_batches(packed: Sequence[dict], batch_size: int) -> Iterator[tuple[list[dict], list[dict]]]:
    """Yield batches as they come, and filled up with the last sample."""
    for start in range(0, len(packed), batch_size):
        batch = list(packed[start : start + batch_size])
        yield batch, batch + batch[-1:] * (batch_size - len(batch))


def deployed_detections(run: Run, packed: Sequence[dict], with_text: bool, batch_size: int) -> list[Found]:
    """Return what a deployed file finds in samples, in pixels of the original images."""
    found = []
    for batch, filled in full_batches(packed, batch_size):
        outputs = run(*to_arrays(filled, with_text))
        for sample, boxes, scores, labels in zip(batch, *outputs):
            scale = np.tile(np.asarray(sample['data_samples'].scale_factor, np.float32), 2)
            present = labels >= 0
            found.append((boxes[present] / scale, scores[present], labels[present]))
    return found


@torch.no_grad()
def eager_detections(model: nn.Module, packed: Sequence[dict]) -> list[Found]:
    """Return what the detector finds in samples, in pixels of the original images."""
    found = []
    for sample in packed:
        instances = model.test_step(pseudo_collate([sample]))[0].pred_instances.cpu().numpy()
        found.append((instances.bboxes, instances.scores, instances.labels))
    return found
