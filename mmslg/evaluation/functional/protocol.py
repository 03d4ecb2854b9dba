"""What a figure stands for, in one line that is printed with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmslg.errors import InputError

CONDITIONS = ('day', 'night')


@dataclass(frozen=True)
class Protocol:
    """How, on what and against which boxes something was evaluated.

    Args:
        metric: The metric with its IoU thresholds and its way from precision and recall to a figure.
        split: Name of the split.
        num_images: Pairs in it.
        label_modality: In which images the boxes were drawn.
        classes: In the order of the labels.
    """

    metric: str
    split: str
    num_images: int
    label_modality: str
    classes: Sequence[str]

    def __str__(self) -> str:
        return (
            f'protocol: {self.metric}; split {self.split}, {self.num_images} pairs; boxes drawn in: '
            f'{self.label_modality}; classes in order: {", ".join(self.classes)}'
        )


def images_by_condition(times: Mapping[int, str | None]) -> dict[str, list[int]]:
    """Group images by time of day.

    Args:
        times: ``day``, ``night`` or None of each image id.

    Returns:
        Image ids by condition, in the order of ``CONDITIONS``; conditions without images are left out.
    """
    groups = {name: [key for key, time in times.items() if time == name] for name in CONDITIONS}
    return {name: ids for name, ids in groups.items() if ids}


def name_methods(paths: Sequence[str]) -> dict[str, str]:
    """Return files of detections by the names of their methods, which are the files' stems.

    Raises:
        InputError: Two files have one name.
    """
    stems = [Path(path).stem for path in paths]
    name, times = Counter(stems).most_common(1)[0]
    if times > 1:
        raise InputError(f'--dets: {times} of them are called {name}; rename all but one')
    return dict(zip(stems, paths))


def format_figures(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format a table: the first column to the left, numbers with three digits, '-' for what is none."""

    def cell(value: object) -> str:
        if isinstance(value, float):
            return '-' if value != value else f'{value:.3f}'
        return str(value)

    lines = [list(head), *([cell(value) for value in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return '\n'.join(
        '  '.join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:]))])
        for line in lines
    )


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = False) -> str:
    """Write a table in Markdown.

    Args:
        head: Names of the columns.
        rows: Their cells, written out.
        numbers: Set all columns but the first to the right.
    """
    rule = '|---' + ('|---:' if numbers else '|---') * (len(head) - 1) + '|'
    head, *lines = ('| ' + ' | '.join(c.replace('|', '\\|') for c in line) + ' |' for line in (head, *rows))
    return '\n'.join([head, rule, *lines])
