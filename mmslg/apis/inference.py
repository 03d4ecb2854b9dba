"""A trained detector on packed pairs."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from torch import nn

from mmslg.apis.configs import check_config
from mmslg.apis.profiling import build_detector
from mmslg.apis.resumption import compare_images, read_tested
from mmslg.engine.checkpoint_report import fit_to_model, match_keys
from mmslg.engine.trunk_state import build_for
from mmslg.errors import InputError


def load_detector(cfg: Config, checkpoint: str, device: str | None = None) -> nn.Module:
    """Build the detector of a config with a checkpoint's weights.

    Args:
        cfg: The config.
        checkpoint: Path of the checkpoint.
        device: ``'cpu'``, ``'cuda:0'``, ...; None takes the GPU if there is one.

    Raises:
        InputError: The checkpoint cannot be read safely, was trained on other classes, or lacks a tensor of
            the model; the config does not fit together; or there is no such device.
    """
    place = _device(device)
    check_config(cfg, evaluated=False)
    weights = read_tested(cfg, checkpoint)
    remark = compare_images(cfg, checkpoint, weights)
    if remark:
        print_log(remark, 'current', logging.WARNING)

    def build(model: dict) -> nn.Module:
        cfg.model = model
        return build_detector(cfg, keep_trunk=True)

    shapes = {name: value.shape for name, value in weights['state_dict'].items()}
    model = build_for(shapes, cfg.model, build)
    fit_to_model(checkpoint, model, weights)
    state = weights['state_dict']
    match = match_keys(model, state)
    if not match.complete:
        raise InputError(f'{checkpoint}: the checkpoint does not fit the config: {match}')
    model.load_state_dict({name: state[name] for name in match.matched})
    return model.to(place).eval()


def predict(model: nn.Module, packed: dict, score_thr: float = 0.0) -> InstanceData:
    """Detect in one packed pair.

    Args:
        model: What :func:`load_detector` returned.
        packed: A sample of a test pipeline.
        score_thr: Lowest score that is kept.

    Returns:
        ``bboxes``, ``scores`` and ``labels`` on the CPU, in pixels of the original image.
    """
    return predict_batch(model, [packed], score_thr)[0].pred_instances


@torch.no_grad()
def predict_batch(model: nn.Module, packed: Sequence[dict], score_thr: float = 0.0) -> list[DetDataSample]:
    """Detect in several packed pairs at once; see :func:`predict`.

    Returns:
        A data sample a pair, with its ``pred_instances``.
    """
    samples = model.test_step(pseudo_collate(list(packed)))
    for sample in samples:
        found = sample.pred_instances.cpu()
        sample.pred_instances = found[found.scores >= score_thr]
    return samples


def _device(device: str | None) -> torch.device:
    if device is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        text = str(error).splitlines()[0]
        raise InputError(f"device={device!r}: {text}; wanted 'cpu', 'cuda' or 'cuda:0'") from None
    return found
