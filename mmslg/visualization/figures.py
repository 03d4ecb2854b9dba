"""Plots by matplotlib, as files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmslg.errors import InputError
from mmslg.utils.io import atomic_path, check_writable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_png(path: str | os.PathLike, option: str) -> Path:
    """Return the path if a PNG can be written there, else raise an InputError that names the option."""
    if Path(path).suffix.lower() != '.png':
        raise InputError(f'{option} {path}: wanted a name that ends in .png')
    return check_writable(path)


@contextmanager
def figure_in(path: str | os.PathLike, dpi: int = 120, **options: Any) -> Iterator[Figure]:
    """Yield an empty figure, which is written to ``path`` at the end of the body, whole or not at all.

    It needs no screen, and text is text in it: names hold dollar signs, which would start a formula. So the
    tick labels of a logarithmic axis, which matplotlib writes as formulas, want a formatter.

    Args:
        path: PNG file.
        dpi: Pixels an inch.
        **options: Arguments of ``matplotlib.figure.Figure``.
    """
    with atomic_path(path) as temporary, _empty_figure(**options) as figure:
        yield figure
        figure.savefig(temporary, dpi=dpi)


@contextmanager
def picture_of(dpi: int = 120, **options: Any) -> Iterator[tuple[Figure, list[np.ndarray]]]:
    """As :func:`figure_in`, into memory: a list that at the end of the body holds the picture, BGR, uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    pictures: list[np.ndarray] = []
    with _empty_figure(dpi=dpi, **options) as figure:
        yield figure, pictures
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pictures.append(np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., 2::-1]))


@contextmanager
def _empty_figure(**options: Any) -> Iterator[Figure]:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({'text.parse_math': False}):
        yield Figure(layout='constrained', **options)
