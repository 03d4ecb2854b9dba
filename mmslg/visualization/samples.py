"""From a config's datasets to pictures in a folder and plain figures, for the tools."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, init_default_scope
from mmengine.structures import InstanceData

from mmslg.errors import InputError
from mmslg.utils.config_errors import explain_config_errors
from mmslg.utils.io import check_folder, check_writable, refuse_overwriting, try_folder
from mmslg.visualization.pair_visualizer import to_boxes
from mmslg.visualization.pairs import contact_sheet, write_picture

SPLITS = ('train', 'val', 'test')


def build_split(cfg: Config, split: str, as_test: bool = False) -> BaseDataset:
    """Build the dataset of a split.

    Args:
        cfg: The config.
        split: ``'train'``, ``'val'`` or ``'test'``.
        as_test: Run the test pipeline, without augmentation, on whichever split.

    Raises:
        InputError: The config has no such split, or the dataset cannot be built or is empty.
    """
    for name in (split, 'test') if as_test else (split,):
        if not cfg.get(f'{name}_dataloader'):
            raise InputError(f'{cfg.filename}: the config has no {name}_dataloader')
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    MMLogger.get_current_instance().setLevel('WARNING')
    options = deepcopy(cfg[f'{split}_dataloader'].dataset)
    if as_test:
        pipeline = innermost_datasets(cfg.test_dataloader.dataset)[0].pipeline
        for inner in innermost_datasets(options):
            inner.update(pipeline=pipeline, test_mode=True)
    with explain_config_errors(cfg):
        dataset = DATASETS.build(options)
    if not len(dataset):
        raise InputError(f'{cfg.filename}: the {split} split has no pairs')
    return dataset


def innermost_datasets(options: dict) -> list[dict]:
    """Return the settings of the datasets within wrappers such as RepeatDataset and ConcatDataset."""
    inner = options.get('datasets') or ([options['dataset']] if 'dataset' in options else [])
    return [each for child in inner for each in innermost_datasets(child)] or [options]


def caption_of(info: dict) -> dict[str, str]:
    """Return the caption that the model is told of a data info's pair, by component; empty if none."""
    caption = info.get('caption')
    return caption.to_dict() if caption else {}


def split_pair(image: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Turn a packed image ``(4, H, W)`` as B, G, R, IR into two BGR pictures."""
    # Photometric distortion leaves floating point numbers.
    array = image.permute(1, 2, 0).numpy().clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(array[..., :3]), np.repeat(array[..., 3:], 3, 2)


def box_records(instances: InstanceData, classes: Sequence[str], scale: Any = 1) -> list[dict]:
    """Describe boxes for a JSON file: x1, y1, x2, y2 of upright ones, four corners of oriented ones.

    Args:
        instances: Annotated or predicted instances.
        classes: Class names.
        scale: Factor of the pixels, one or (x, y).
    """
    boxes = to_boxes(instances)
    corners = slice(None, None, 2 if instances.bboxes.shape[-1] == 4 else 1)
    rows = [
        {'class': classes[label], 'box': (polygon[corners].round(2) + 0.0).ravel().tolist()}  # no -0.0
        for label, polygon in zip(boxes.labels, boxes.polygons * scale)
    ]
    scores = () if boxes.scores is None else boxes.scores
    return [row | {'score': round(float(score), 4)} for row, score in zip(rows, scores)] or rows


def picture_name(key: str) -> str:
    """Return a name without folders and suffix for the picture of a pair."""
    return str(PurePosixPath(key.replace('\\', '/')).with_suffix('')).strip('/').replace('/', '_')


def picture_folder(args: Namespace, name: str) -> Path:
    """Return the folder for a tool's pictures, if it takes files, and ``--json`` as far as a look tells.

    Args:
        args: Command line with ``config``, ``out``, ``json`` and, maybe, ``checkpoint``.
        name: Folder below ``work_dirs/CONFIG`` where the user named none.

    Raises:
        InputError: One cannot be written, or ``--json`` is an input.
    """
    out = Path('work_dirs', Path(args.config).stem, name) if args.out is None else args.out
    folder = check_folder(out, '--out')
    check_writable(folder / 'contact_sheet.png')
    refuse_overwriting(args.json, args.config, getattr(args, 'checkpoint', None))
    try_folder(folder)
    return folder


def write_pages(folder: Path, names: Sequence[str], pages: Sequence[np.ndarray]) -> None:
    """Write pages and a contact sheet of them into a folder, and say where."""
    for name, page in zip(names, pages):
        write_picture(folder / name, page)
    write_picture(folder / 'contact_sheet.png', contact_sheet(pages))
    print(f'{len(pages)} pictures and contact_sheet.png in {folder}')
