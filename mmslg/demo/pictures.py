"""What the page shows, as HTML with the pictures inside: nothing is written, no text is taken for markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData

from mmslg.apis.pair_inferencer import Pair, PairInferencer
from mmslg.demo.uploads import Upload
from mmslg.models.layers.structure_encoder import StructureEncoder
from mmslg.models.modules import first_of
from mmslg.utils.image_io import to_8bit
from mmslg.visualization.boxes import INK, WHITE, write_text
from mmslg.visualization.pair_visualizer import to_boxes
from mmslg.visualization.pairs import draw_pair_boxes
from mmslg.visualization.report_page import data_uri
from mmslg.visualization.structure import WEIGHT_RANGE, draw_heat

SIDE = 960
"""Longest side of a shown picture of one modality, pixels."""
ROWS = 50
"""Detections that the table lists."""

_CELL = 260


def image_tag(picture: np.ndarray, text: str) -> str:
    """Return a BGR picture ``(H, W, 3)`` as an HTML image that holds its bytes."""
    return f'<img alt="{escape(text)}" style="max-width:100%" src="{data_uri(picture)}">'


def message(text: str, fault: bool = False) -> str:
    """Return a line for the user, its text escaped."""
    kind = 'fault' if fault else 'note'
    return f'<p class="message {kind}" role="status">{escape(text)}</p>' if text else ''


def preview(upload: Upload) -> str:
    """Show an image that was sent, with its name, size and bits."""
    height, width = upload.image.shape[:2]
    picture, _ = _shown(upload.image, 420)
    bits = 8 * upload.image.itemsize
    line = escape(f'{upload.name}: {width}x{height}, {bits} bits')
    return f'{image_tag(picture, upload.name)}<p class="message note">{line}</p>'


def detections(
    pair: Pair, found: InstanceData, classes: Sequence[str], score_thr: float, caption: Mapping | None
) -> str:
    """Show both images with the boxes above a score, the caption, and a table of the boxes."""
    found = found[found.scores >= score_thr]
    found = found[found.scores.argsort(descending=True)]
    (visible, scale), (infrared, _) = (_shown(image, SIDE) for image in (pair.visible, pair.infrared))
    boxes = to_boxes(found)
    title = f'{len(boxes.labels)} found from a score of {score_thr:g}'
    scaled = boxes._replace(polygons=boxes.polygons * scale)
    page = draw_pair_boxes(visible, infrared, classes, title, found=scaled)
    told = '; '.join(f'{name}: {text}' for name, text in caption.items()) if caption else 'neutral'
    rows = [
        f'<tr><td>{escape(classes[label])}</td><td>{score:.2f}</td><td>{_corners(corners)}</td></tr>'
        for label, score, corners in zip(boxes.labels[:ROWS], boxes.scores[:ROWS], boxes.polygons[:ROWS])
    ]
    more = len(boxes.labels) - len(rows)
    return (
        f'{image_tag(page, title)}<p class="message note">{escape(title)}. Caption: {escape(told)}</p>'
        '<table class="found"><tr><th>class</th><th>score</th><th>corners, pixels</th></tr>'
        f'{"".join(rows)}</table>{f"<p>and {more} more</p>" if more > 0 else ""}'
    )


@torch.no_grad()
def structure_maps(inferencer: PairInferencer, pair: Pair) -> str:
    """Show the Sobel gradients (Eq. 2) and the weights (Eq. 4-5) of both modalities, one row a level."""
    encoder = first_of(inferencer.model, StructureEncoder)
    if encoder is None:
        return message('This model has no structure encoder.')
    batch = pseudo_collate([inferencer.pack(pair)])
    images = inferencer.model.data_preprocessor(batch, False)['inputs']
    rows = []
    for stride, maps in zip(encoder.strides, encoder.modality_maps(images['rgb'], images['ir'])):
        gradients = [gradient.sqrt() for gradient in encoder.alignment.gradients(*maps)[:2]]
        weights = encoder.alignment.weights(*maps)
        row = [_heat(map_, (0.0, 1.0)) for map_ in gradients] + [
            _heat(map_, WEIGHT_RANGE) for map_ in weights
        ]
        rows.append(_labelled(row, f'1/{stride}'))
    picture = np.vstack(rows)
    text = (
        'Edges of both modalities (square root of the Sobel magnitude) and what they weigh: '
        f'dark {WEIGHT_RANGE[0]}, light {WEIGHT_RANGE[1]}. Rows: levels of the pyramid.'
    )
    return image_tag(picture, 'structure maps') + message(text)


def _shown(image: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """Return an image as a BGR picture of at most ``side`` pixels, and the factor that it was scaled by."""
    if image.ndim == 2:
        image = cv2.cvtColor(to_8bit(image), cv2.COLOR_GRAY2BGR)
    scale = min(1.0, side / max(image.shape[:2]))
    if scale == 1:
        return image, 1.0
    size = [max(round(length * scale), 1) for length in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


def _corners(corners: np.ndarray) -> str:
    return ' '.join(f'({x:.0f}, {y:.0f})' for x, y in corners.tolist())


def _heat(values: torch.Tensor, limits: tuple[float, float]) -> np.ndarray:
    colours = draw_heat(values[0, 0].float().cpu().numpy(), limits)
    height = max(round(_CELL * colours.shape[0] / colours.shape[1]), 1)
    return cv2.resize(colours, (_CELL, height), interpolation=cv2.INTER_NEAREST)


def _labelled(row: Sequence[np.ndarray], level: str) -> np.ndarray:
    height = row[0].shape[0]
    page = np.full((height + 28, len(row) * (_CELL + 10) + 10, 3), WHITE, np.uint8)
    names = ('edges visible', 'edges infrared', 'weight visible', 'weight infrared')
    for i, (picture, name) in enumerate(zip(row, names)):
        x = 10 + i * (_CELL + 10)
        write_text(page, f'{name}, {level}', (x, 17), INK, 0.46)
        page[24 : 24 + height, x : x + _CELL] = picture
    return page
