"""From a dataset's packed samples to pictures and plain figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, init_default_scope

from mmslg.captions.schema import COMPONENTS
from mmslg.datasets import LoadCaptionEmbedding
from mmslg.errors import InputError
from mmslg.visualization.pairs import (
    add_legend,
    class_colour,
    contact_sheet,
    draw_boxes,
    enlarge,
    side_by_side,
    to_polygons,
    write_picture,
)

SPLITS = ('train', 'val', 'test')
WHITE = (255, 255, 255)


def build_split(cfg: Config, split: str, as_test: bool = False) -> Any:
    """Build the dataset of a split.

    Args:
        cfg: The config.
        split: ``'train'``, ``'val'`` or ``'test'``.
        as_test: Run the test pipeline, without augmentation, on whichever split.

    Raises:
        InputError: The config has no such split, or the dataset cannot be built or is empty.
    """
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise InputError(f'{cfg.filename}: the config has no {split}_dataloader')
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    MMLogger.get_current_instance().setLevel('WARNING')
    options = loader.dataset
    if as_test and split == 'train':
        if 'pipeline' not in options or not cfg.get('test_dataloader'):
            raise InputError(f'{cfg.filename}: --split train wants a plain dataset and a test_dataloader')
        options = dict(options, pipeline=cfg.test_dataloader.dataset.pipeline, test_mode=True)
    dataset = DATASETS.build(options)
    if not len(dataset):
        raise InputError(f'{cfg.filename}: the {split} split has no pairs')
    return dataset


def innermost(dataset: Any) -> Iterator[Any]:
    """Yield the datasets within wrappers such as RepeatDataset and ConcatDataset."""
    inner = getattr(dataset, 'datasets', None) or [d for d in [getattr(dataset, 'dataset', None)] if d]
    if not inner:
        yield dataset
    for child in inner:
        yield from innermost(child)


def find_caption(dataset: Any, key: str) -> dict[str, str]:
    """Return the caption that a pair's model is told, by component; empty if it is told none."""
    for inner in innermost(dataset):
        for transform in inner.pipeline.transforms:
            if isinstance(transform, LoadCaptionEmbedding):
                caption = transform.caption(key)
                return dict(zip(COMPONENTS, caption.components())) if caption else {}
    return {}


def boxes_follow_picture(dataset: Any) -> bool:
    """Whether boxes are scaled with the picture.

    Test pipelines load annotations after resizing: their boxes stay in pixels of the original.
    """
    names = [type(t).__name__ for t in next(innermost(dataset)).pipeline.transforms]
    loads = [i for i, name in enumerate(names) if 'LoadAnnotations' in name]
    resizes = [i for i, name in enumerate(names) if 'Resize' in name]
    return not loads or not resizes or loads[0] < resizes[-1]


def split_pair(image: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Turn a packed image ``(4, H, W)`` as B, G, R, IR into two BGR pictures.

    Raises:
        InputError: The image has not four channels.
    """
    if image.ndim != 3 or image.shape[0] != 4:
        raise InputError(f'wanted a packed pair (4, H, W), got {tuple(image.shape)}')
    array = image.permute(1, 2, 0).numpy().clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(array[..., :3]), np.repeat(array[..., 3:], 3, 2)


def box_array(boxes: Any) -> np.ndarray:
    """Return boxes of any kind, tensors too, as an array ``(N, 4 or 5 or 8)``."""
    tensor = getattr(boxes, 'tensor', boxes)
    return tensor.detach().cpu().float().numpy()


def enlarge_pair(image: torch.Tensor) -> tuple[np.ndarray, np.ndarray, int]:
    """Return both pictures of a packed pair, doubled if small, and the factor."""
    visible, infrared = split_pair(image)
    visible, factor = enlarge(visible)
    return visible, enlarge(infrared)[0], factor


def scales_of(dataset: Any, packed: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return the scales (x, y) from pixels of predictions and of annotated boxes to the packed image."""
    ratio = np.asarray(packed['data_samples'].get('scale_factor', (1.0, 1.0)))
    return ratio, np.ones(2) if boxes_follow_picture(dataset) else ratio


def draw_result(
    packed: dict, found: tuple, truth: tuple, classes: tuple, title: str, scales: tuple
) -> np.ndarray:
    """Draw one pair with what was found and, dashed, what is annotated.

    Args:
        packed: The packed sample.
        found: Boxes, labels and scores of the predictions.
        truth: Boxes and labels of the ground truth.
        classes: Class names.
        title: Line above the pictures.
        scales: From pixels of either kind of boxes to pixels of the packed image, each (x, y).
    """
    visible, infrared, factor = enlarge_pair(packed['inputs']['img'])
    order = np.argsort(-found[2])  # labels of the surest boxes find room first
    polygons = to_polygons(found[0])[order] * scales[0] * factor
    labels = found[1][order]
    texts = [f'{classes[label]} {score:.2f}' for label, score in zip(labels, found[2][order])]
    marks = to_polygons(truth[0]) * scales[1] * factor
    pictures = []
    for picture in (visible, infrared):
        picture = draw_boxes(picture, marks, [WHITE] * len(marks), dashed=True, thickness=1)
        pictures.append(draw_boxes(picture, polygons, [class_colour(label) for label in labels], texts))
    return add_legend(side_by_side(*pictures, title), classes, dashed_white='ground truth')


def box_records(boxes: np.ndarray, labels: Sequence[int], classes: Sequence[str]) -> list[dict]:
    """Describe boxes for a JSON file."""
    return [
        {'class': classes[int(label)], 'box': [round(float(v), 2) for v in box]}
        for box, label in zip(boxes, labels)
    ]


def picture_name(index: int, key: str) -> str:
    """Return a file name for the picture of a pair, without folders."""
    stem = str(Path(key).with_suffix('')).replace('\\', '/').replace('/', '_')
    return f'{index:03d}_{stem}.png'


def write_pages(out: str, names: Sequence[str], pages: Sequence[np.ndarray]) -> None:
    """Write pages and a contact sheet of them into a folder, and say where."""
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f'{out}: wanted a folder, this is a file')
    for name, page in zip(names, pages):
        write_picture(folder / name, page)
    write_picture(folder / 'contact_sheet.png', contact_sheet(pages))
    print(f'{len(pages)} pictures and contact_sheet.png in {folder}')
