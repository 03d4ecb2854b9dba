"""A trained detector on packed pairs."""

from __future__ import annotations

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from torch import nn

from mmslg.apis.configs import check_config
from mmslg.apis.profiling import build_detector
from mmslg.apis.resumption import read_tested
from mmslg.engine.checkpoint_report import fit_to_model, match_keys
from mmslg.engine.trunk_state import build_for
from mmslg.errors import InputError


def load_detector(cfg: Config, checkpoint: str) -> nn.Module:
    """Build the detector of a config with a checkpoint's weights, on the GPU if there is one.

    Raises:
        InputError: The checkpoint cannot be read safely, was trained on other classes, or lacks a tensor of
            the model; or the config does not fit together.
    """
    check_config(cfg, evaluated=False)
    weights = read_tested(cfg, checkpoint)

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
    return model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()


@torch.no_grad()
def predict(model: nn.Module, packed: dict, score_thr: float = 0.0) -> InstanceData:
    """Detect in one packed pair.

    Args:
        model: What :func:`load_detector` returned.
        packed: A sample of a test pipeline.
        score_thr: Lowest score that is kept.

    Returns:
        ``bboxes``, ``scores`` and ``labels`` on the CPU, in pixels of the original image.
    """
    found = model.test_step(pseudo_collate([packed]))[0].pred_instances.cpu()
    return found[found.scores >= score_thr]
