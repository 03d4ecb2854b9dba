"""What a deployed model has to know of its config: sizes, classes, statistics, protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmcv
from mmengine.config import Config

from mmslg.engine.data_files import file_hash
from mmslg.engine.run_report import read_starts
from mmslg.errors import InputError
from mmslg.version import __version__


def resized(cfg: Config, size: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return width and height that the test pipeline gives a pair.

    Args:
        cfg: The config.
        size: Width and height of the pair in pixels; None stands for the scale of the pipeline itself.

    Raises:
        InputError: The test pipeline resizes in another way than ``mmdet.Resize`` with a scale.
    """
    step = step_of(cfg, 'Resize')
    scale = step.get('scale')
    if not isinstance(scale, (tuple, list)) or len(scale) != 2 or not all(isinstance(s, int) for s in scale):
        raise InputError(f'{cfg.filename}: the test pipeline resizes by {dict(step)}; wanted scale=(W, H)')
    if size is None or not step.get('keep_ratio', False):
        return tuple(scale)
    return mmcv.rescale_size(size, tuple(scale))


def describe(cfg: Config, checkpoint: str, classes: Sequence[str]) -> dict[str, Any]:
    """Return the facts that travel within the file, in plain values."""
    preprocessor = cfg.model.data_preprocessor
    folder = Path(checkpoint).parent
    starts = read_starts(folder / 'run.json') if (folder / 'run.json').is_file() else []
    resize = step_of(cfg, 'Resize')
    return dict(
        classes=list(classes),
        scale=list(resize.scale),
        keep_ratio=bool(resize.get('keep_ratio', False)),
        infrared_window=_plain(step_of(cfg, 'LoadInfrared').get('window')),
        mean=list(preprocessor.mean),
        std=list(preprocessor.std),
        normalisation='inside the model; mean and std are of R, G, B, IR in 0-255',
        protocols=list((starts[-1].get('protocols') if starts else None) or []),
        checkpoint=dict(name=Path(checkpoint).name, sha256=file_hash(checkpoint)),
        mmslg_version=__version__,
    )


def step_of(cfg: Config, name: str) -> Mapping[str, Any]:
    """Return the settings of a transform of the test pipeline.

    Raises:
        InputError: The pipeline has none of this name.
    """
    dataset = cfg.test_dataloader.dataset
    while 'pipeline' not in dataset:
        inner = dataset.get('datasets') or [dataset.get('dataset')]
        if inner[0] is None:
            break
        dataset = inner[0]
    pipeline = dataset.get('pipeline') or {}
    for step in pipeline.values() if isinstance(pipeline, dict) else pipeline:
        if step and str(step['type']).rpartition('.')[2] == name:
            return step
    raise InputError(f'{cfg.filename}: the test pipeline has no {name}, so there is nothing to reproduce')


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
