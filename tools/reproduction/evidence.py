"""How sure differences between rows are, and how they lie by condition, from the detections of the cells."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmslg.apis.configs import dataset_classes
from mmslg.engine.data_files import file_hash
from mmslg.evaluation.functional.resampling import (
    FIGURES,
    Difference,
    ImageMatches,
    Sample,
    compare,
    groups_of,
    match_images,
    sample,
)
from mmslg.utils.io import read_json
from reproduction.cells import DETECTIONS, Cell
from reproduction.table import Metric, Table


@dataclass
class Evidence:
    """What the detections say beyond the figures of the cells.

    Args:
        differences: To the base, in the table's unit, by config and metric.
        by_condition: The focus's, by config and condition.
        groups: The focus by config and condition, a value a seed, in the table's unit.
        sizes: Images of each condition; several numbers where test sets differ.
        strangers: Configs that were tested on other annotations than the base, and are not compared.
    """

    differences: dict[str, dict[str, Difference]] = field(default_factory=dict)
    by_condition: dict[str, dict[str, Difference]] = field(default_factory=dict)
    groups: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    sizes: dict[str, list[int]] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)


def gather(table: Table, cells: list[Cell]) -> Evidence:
    """Compare the rows of a table with its base, and look at conditions.

    A row is compared over the seeds that it has in common with the base; one without detections, or whose
    annotations are not there or are others, is not.
    """
    found = Evidence()
    if table.base is None and table.focus is None:
        return found
    matches: dict[str, dict[int, ImageMatches]] = {}
    tests: dict[str, str | None] = {}
    conditions: dict[str, np.ndarray] = {}
    for cell in cells:
        kept = cell.done and (cell.folder / DETECTIONS).is_file()
        if kept and Path(cell.annotations).is_file():
            data = read_json(cell.annotations)
            tests[cell.row.config] = file_hash(cell.annotations)
            run, figures = _matches(cell, data), _focus(table)
            matches.setdefault(cell.row.config, {})[cell.seed] = run
            for group, weights in groups_of(data, run.image_ids).items() if figures else ():
                value = run.figures(weights)[figures[0]] * figures[1]
                found.groups.setdefault(cell.row.config, {}).setdefault(group, []).append(value)
                if cell.row.config == table.base and not math.isnan(value):  # there are boxes to be found
                    conditions[group] = weights
                sizes, number = found.sizes.setdefault(group, []), int(weights.sum())
                sizes += [number] if number not in sizes else []
    found.strangers = [config for config in matches if tests[config] != tests.get(table.base, tests[config])]
    for config in found.strangers:
        del matches[config]
    found.differences = _differences(table, matches)
    for group, only in conditions.items():
        chosen = {
            config: {seed: run.restricted_to(only) for seed, run in runs.items()}
            for config, runs in matches.items()
        }
        for config, differences in _differences(table, chosen).items():
            if table.focus in differences:
                found.by_condition.setdefault(config, {})[group] = differences[table.focus]
    return found


def _differences(
    table: Table, matches: dict[str, dict[int, ImageMatches]]
) -> dict[str, dict[str, Difference]]:
    """Return the differences of configs that were tested on the same images to the base."""
    found = {}
    base = matches.get(table.base or '', {})
    of_base: dict[tuple[int, ...], Sample] = {}
    for config, runs in matches.items():
        seeds = sorted(set(runs) & set(base))
        if config == table.base or not seeds:
            continue
        if tuple(seeds) not in of_base:  # the bootstrap takes long
            of_base[tuple(seeds)] = sample([base[seed] for seed in seeds])
        difference = compare(sample([runs[seed] for seed in seeds]), of_base[tuple(seeds)])
        found[config] = {
            metric.name: _scaled(difference[name], metric.scale)
            for metric in table.metrics
            if (name := figure_name(metric)) is not None
        }
    return found


def figure_name(metric: Metric) -> str | None:
    """Return the figure of resampled images that a metric is; None if it is none."""
    names = [key.rpartition('bbox_')[2] for key in metric.keys if key.startswith(('coco/', 'bbox_'))]
    return next((name for name in names if name in FIGURES), None)


def _focus(table: Table) -> tuple[str, float] | None:
    metric = next((metric for metric in table.metrics if metric.name == table.focus), None)
    name = figure_name(metric) if metric else None
    return None if name is None else (name, metric.scale)


def _matches(cell: Cell, data: dict[str, Any]) -> ImageMatches:
    classes = dataset_classes(cell.cfg.test_dataloader.dataset)
    return match_images(data, read_json(cell.folder / DETECTIONS), classes)


def _scaled(difference: Difference, scale: float) -> Difference:
    def times(pair: tuple[float, float] | None) -> tuple[float, float] | None:
        return None if pair is None else (pair[0] * scale, pair[1] * scale)

    deviation = None if difference.deviation is None else difference.deviation * scale
    return Difference(difference.mean * scale, deviation, times(difference.seeds), times(difference.images))


def format_difference(difference: Difference, digits: int) -> str:
    """Write a difference with its intervals as ``-0.031 (seeds -0.050 to -0.012, images ...)``."""

    def interval(name: str, pair: tuple[float, float] | None) -> list[str]:
        return [] if pair is None else [f'{name} {pair[0]:+.{digits}f} to {pair[1]:+.{digits}f}']

    inner = ', '.join([*interval('seeds', difference.seeds), *interval('images', difference.images)])
    text = f'{difference.mean:+.{digits}f} ({inner})'
    return f'**{text}**' if difference.clear else text
