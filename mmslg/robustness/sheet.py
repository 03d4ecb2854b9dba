"""One pair under every corruption, as a picture."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from mmcv.transforms import Compose
from mmengine.registry import init_default_scope

from mmslg.datasets.corruptions import CORRUPTIONS, Statistics, corrupt, pair_seed
from mmslg.datasets.paired_coco import list_steps
from mmslg.errors import InputError
from mmslg.robustness.cells import ALL, Subject, normalisation
from mmslg.visualization.pairs import INK, MUTED, WHITE, fit_text, write_text
from mmslg.visualization.samples import build_split, innermost_datasets

TILE = 232
"""Pixels across a picture, at most."""
LABELS = 228
GAP = 6


def draw_sheet(subject: Subject, number: int, names: Iterable[str]) -> np.ndarray:
    """Draw a pair of the test set under corruptions: a row for each, a column for each severity.

    ``visible/`` and ``infrared/`` show that image, ``pair/`` and ``missing/`` the mean of both.

    Args:
        subject: What is tested.
        number: The pair, from 1.
        names: Of the corruptions; those that change no pixels are left out.

    Raises:
        InputError: There is no such pair, or its images cannot be read.
    """
    image, key = _load(subject, number)
    names = [name for name in names if name in CORRUPTIONS]
    statistics = Statistics(*normalisation(subject.cfg).values())
    size = _tile_size(image)
    parts = ('visible', 'infrared', 'both')
    rows = [_row('clean', [(part, _picture(image, part), '') for part in parts], size)]
    missing: dict[str, list] = {}
    for name in names:
        tiles = []
        for severity, level in zip(ALL[name].severities, ALL[name].levels):
            seed = pair_seed(subject.seed, name, severity, key)
            changed, drawn = corrupt(image, name, severity, seed, subject.moved, statistics)
            overlap = f', overlap {drawn["overlap"]:.0%}' if 'overlap' in drawn else ''
            caption = level if level == str(severity) and not overlap else f'{severity}: {level}{overlap}'
            tiles.append((caption, _picture(changed, ALL[name].group), ALL[name].unit))
        if len(tiles) == 1:
            label, _, filling = name.rpartition('_')
            missing.setdefault(label, []).append((f'as {filling}', tiles[0][1], ''))
        else:
            rows.append(_row(name, tiles, size))
    rows += [_row(label, tiles, size) for label, tiles in missing.items()]
    half = (len(rows) + 1) // 2
    rows += [np.full_like(rows[0], WHITE[0])] * (2 * half - len(rows))
    sheet = np.hstack([np.vstack(rows[:half]), np.vstack(rows[half:])])
    width = sheet.shape[1]
    head = np.full((34, width, 3), WHITE, np.uint8)
    write_text(
        head, fit_text(f'{key} under corruptions, by severity', width - 2 * GAP, 0.6), (GAP, 23), INK, 0.6
    )
    return np.vstack([head, sheet])


def _load(subject: Subject, number: int) -> tuple[np.ndarray, str]:
    """Return a pair as its test pipeline loads it, and its key."""
    if number > len(subject.pairs):
        raise InputError(f'--sheet {number}: the test set has {len(subject.pairs)} pairs')
    init_default_scope(subject.cfg.get('default_scope', 'mmdet'))
    info = build_split(subject.cfg, 'test').get_data_info(number - 1)
    steps = list_steps(innermost_datasets(subject.cfg.test_dataloader.dataset)[0].pipeline)
    loading = [step for step in steps if step['type'] in ('mmslg.LoadVisible', 'mmslg.LoadInfrared')]
    return Compose(loading)(info)['img'], info['file_name']


def _picture(image: np.ndarray, part: str) -> np.ndarray:
    visible, infrared = image[..., :3], np.repeat(image[..., 3:], 3, 2)
    if part in ('visible', 'infrared'):
        return visible if part == 'visible' else infrared
    return cv2.addWeighted(visible.copy(), 0.5, infrared, 0.5, 0)


def _tile_size(image: np.ndarray) -> tuple[int, int]:
    height, width = image.shape[:2]
    return TILE, max(round(TILE * height / width), 1)


def _row(label: str, tiles: list[tuple[str, np.ndarray, str]], size: tuple[int, int]) -> np.ndarray:
    """Return a row of pictures, each with a line below it, behind its label and unit."""
    width, height = size
    row = np.full((height + 22 + GAP, LABELS + 5 * (width + GAP), 3), WHITE, np.uint8)
    write_text(row, fit_text(label, LABELS - 2 * GAP, 0.5), (GAP, height // 2), INK, 0.5)
    if tiles[0][2]:
        write_text(row, fit_text(tiles[0][2], LABELS - 2 * GAP, 0.42), (GAP, height // 2 + 18), MUTED, 0.42)
    for column, (caption, picture, _) in enumerate(tiles):
        x = LABELS + column * (width + GAP)
        row[:height, x : x + width] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        write_text(row, fit_text(caption, width, 0.42), (x, height + 14), MUTED, 0.42)
    return row
