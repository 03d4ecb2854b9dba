"""Pictures of what captions say: bars by component, and pairs with their captions."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from mmslg.annotations import TIMES, ImagePair
from mmslg.captions.generation import read_images
from mmslg.captions.report import UNCLEAR, top
from mmslg.captions.schema import CaptionRecord, one_line, time_of_day
from mmslg.utils.image_io import to_8bit
from mmslg.visualization.figures import figure_in
from mmslg.visualization.pairs import add_lines, side_by_side
from mmslg.visualization.palette import CURVES

BARS = 8
"""Phrases of a component that get a bar of their own."""
PAIR_WIDTH = 440
"""Width of each picture of a pair on the sheet, pixels."""


def draw_summary(summary: Mapping[str, Any], out: str | os.PathLike) -> None:
    """Draw how often each phrase occurs, and day and night against the annotations, as a PNG.

    Args:
        summary: What :func:`mmslg.captions.report.summarise` returned.
        out: File to write.
    """
    components = summary['components']
    compared = summary.get('annotated', {}).get('agreement') is not None
    reasons = Counter(failure['reason'] for failure in summary['failures'])
    rows = [top(component['phrases'], BARS) for component in components.values()]
    heights = [max(len(rows[i]), len(rows[i + 1])) + 2 for i in (0, 2)]
    heights += [6] if compared or reasons else []
    size = 13, 0.34 * sum(heights) + 0.9
    with figure_in(out, dpi=110, figsize=size) as figure:
        grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
        figure.suptitle(_headline(summary), fontsize=12)
        for i, (name, component) in enumerate(components.items()):
            axes = figure.add_subplot(grid[i // 2, i % 2])
            _draw_bars(axes, rows[i], summary['captions'], heights[i // 2] - 2, CURVES[i])
            title = f'{name}: {len(component["phrases"])} distinct'
            axes.set_title(title, loc='left', fontsize=11, weight='bold')
        if compared:
            _draw_confusion(figure.add_subplot(grid[2, 0]), summary['annotated'])
        if reasons:
            axes = figure.add_subplot(grid[2, 1])
            _draw_bars(axes, top(reasons, 3), reasons.total(), 4, '#999999')
            axes.set_title(f'{reasons.total()} failures', loc='left', fontsize=11, weight='bold')


def _headline(summary: Mapping[str, Any]) -> str:
    parts = [
        f'{summary["captions"]} captions',
        f'{summary["duplicates"]["distinct"]} distinct',
        f'{len(summary["failures"])} failed',
    ]
    return ', '.join(parts)


def _draw_bars(axes: Any, rows: list[tuple[str, int]], total: int, longest: int, colour: str) -> None:
    shares = [100 * count / total for _, count in rows]
    axes.barh(range(len(rows)), shares, color=colour, height=0.7)
    labels = [one_line(text, 40) for text, _ in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=10)
    axes.set_ylim(longest - 0.4, -0.6)  # bars of the same thickness side by side
    axes.set_xlim(0, 118)
    axes.set_xticks([0, 25, 50, 75, 100], ['0', '25', '50', '75', '100 %'], fontsize=9)
    for y, ((_, count), share) in enumerate(zip(rows, shares)):
        axes.text(share + 1, y, f'{count}', va='center', fontsize=9, color='#444444')
    axes.spines[['top', 'right', 'left']].set_visible(False)
    axes.tick_params(axis='y', length=0)
    axes.grid(axis='x', alpha=0.3)
    axes.set_axisbelow(True)


def _draw_confusion(axes: Any, annotated: Mapping[str, Any]) -> None:
    columns = (*TIMES, UNCLEAR)
    counts = np.array([[annotated['confusion'][time][column] for column in columns] for time in TIMES])
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap='Blues', vmin=0, vmax=1, aspect='auto')
    for (row, column), count in np.ndenumerate(counts):
        colour = 'white' if shares[row, column] > 0.6 else 'black'
        axes.text(column, row, str(count), ha='center', va='center', fontsize=12, color=colour)
    axes.set_xticks(range(len(columns)), [f'says {column}' for column in columns], fontsize=10)
    axes.set_yticks(range(len(TIMES)), [f'annotated {time}' for time in TIMES], fontsize=10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    agreement = 100 * annotated['agreement']
    axes.set_title(f'day or night: {agreement:.1f} % agree', loc='left', fontsize=11, weight='bold')


def draw_pair(pair: ImagePair, record: CaptionRecord) -> np.ndarray:
    """Draw a pair with its caption.

    Args:
        pair: The pair; a time of day that the caption does not say is pointed out.
        record: Its caption.

    Returns:
        A page, BGR, uint8; all pages have the same width.

    Raises:
        InputError: An image cannot be read.
    """
    visible, infrared = read_images(pair)
    size = PAIR_WIDTH, max(round(visible.shape[0] * PAIR_WIDTH / visible.shape[1]), 1)
    infrared = cv2.cvtColor(to_8bit(infrared), cv2.COLOR_GRAY2BGR)
    page = side_by_side(
        *(cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in (visible, infrared)), pair.key
    )
    caption = record.caption.to_dict()
    lines = [f'{name}: {text}' for name, text in caption.items()]
    said = time_of_day(record.caption) or UNCLEAR
    if pair.time is not None and said != pair.time:
        lines[0] += f'   <-- annotated {pair.time}'
    return add_lines(page, lines)


def choose_pairs(pairs: Sequence[ImagePair], first: Sequence[str], num: int) -> list[ImagePair]:
    """Choose pairs for a sheet: up to half of them from the keys ``first``, the others evenly spread."""
    if len(pairs) <= num:
        return list(pairs)
    wanted = set(list(first)[: num // 2])
    chosen = [pair for pair in pairs if pair.key in wanted]
    others = [pair for pair in pairs if pair.key not in wanted]
    places = np.linspace(0, len(others) - 1, num - len(chosen)).round().astype(int)
    return chosen + [others[i] for i in places]
