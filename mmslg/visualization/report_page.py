"""A page of titled pictures, as one PNG and as one HTML file that needs no other."""

from __future__ import annotations

import base64
import html
import os
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from mmslg.utils.io import atomic_path
from mmslg.visualization.boxes import INK, MUTED, WHITE, fit_text, text_width, write_text

WIDTH = 1560
"""Width of a page in pixels."""

_GAP = 12
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #282828; max-width: 1560px; margin: 24px auto;
  padding: 0 16px }
h1 { font-size: 22px } h2 { font-size: 18px; margin: 28px 0 4px } p { margin: 4px 0 10px; max-width: 70em }
.panels { display: grid; gap: 12px } figure { margin: 0 } figcaption { font-size: 13px; margin-bottom: 3px }
figcaption span { color: #777 } img { width: 100%; height: auto; display: block }
"""


class Panel(NamedTuple):
    """A picture of a page.

    Attributes:
        title: Line above it.
        picture: Picture ``(H, W, 3)``, BGR, uint8.
        note: What is written in grey behind the title.
    """

    title: str
    picture: np.ndarray
    note: str = ''


class Section(NamedTuple):
    """A part of a page.

    Attributes:
        title: Its heading.
        text: What a reader should know to read the pictures.
        panels: Pictures, row by row.
        columns: Pictures in a row.
    """

    title: str
    text: str
    panels: Sequence[Panel]
    columns: int


def panel_width(columns: int) -> int:
    """Return the width of a picture in pixels, of so many in a row."""
    return (WIDTH - _GAP * (columns + 1)) // columns


def draw_page(title: str, sections: Sequence[Section]) -> np.ndarray:
    """Draw a page ``(H, WIDTH, 3)`` in BGR, uint8."""
    strips = [_line(title, 0.8, 40)]
    for section in sections:
        strips.append(_line(section.title, 0.65, 40))
        strips += [_line(line, 0.45, 19, MUTED) for line in textwrap.wrap(section.text, 190)]
        for start in range(0, len(section.panels), section.columns):
            strips.append(_row(section.panels[start : start + section.columns], section.columns))
    return np.vstack(strips)


def _line(text: str, size: float, height: int, colour: tuple = INK) -> np.ndarray:
    strip = np.full((height, WIDTH, 3), WHITE, np.uint8)
    write_text(strip, fit_text(text, WIDTH - 2 * _GAP, size), (_GAP, 3 * height // 4), colour, size)
    return strip


def _row(panels: Sequence[Panel], columns: int) -> np.ndarray:
    width = panel_width(columns)
    pictures = [_scaled(panel.picture, width) for panel in panels]
    strip = np.full((max(p.shape[0] for p in pictures) + 20 + _GAP, WIDTH, 3), WHITE, np.uint8)
    for i, (panel, picture) in enumerate(zip(panels, pictures)):
        x = _GAP + i * (width + _GAP)
        title = fit_text(panel.title, width, 0.45)
        write_text(strip, title, (x, 14), INK, 0.45)
        used = text_width(title, 0.45) + 10
        if panel.note and used < width:
            write_text(strip, fit_text(panel.note, width - used, 0.42), (x + used, 14), MUTED, 0.42)
        strip[20 : 20 + picture.shape[0], x : x + picture.shape[1]] = picture
    return strip


def _scaled(picture: np.ndarray, width: int) -> np.ndarray:
    size = width, max(round(picture.shape[0] * width / picture.shape[1]), 1)
    way = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_LINEAR
    return picture if size == picture.shape[1::-1] else cv2.resize(picture, size, interpolation=way)


def format_html(title: str, sections: Sequence[Section]) -> str:
    """Return a page as HTML with its pictures inside; it runs no script and loads nothing."""
    parts = [
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>',
        f'<style>{_STYLE}</style></head><body>\n<h1>{html.escape(title)}</h1>',
    ]
    for section in sections:
        parts.append(f'<h2>{html.escape(section.title)}</h2>\n<p>{html.escape(section.text)}</p>')
        parts.append(f'<div class="panels" style="grid-template-columns: repeat({section.columns}, 1fr)">')
        parts += [_figure(panel, section.columns) for panel in section.panels]
        parts.append('</div>')
    return '\n'.join([*parts, '</body></html>\n'])


def _figure(panel: Panel, columns: int) -> str:
    picture = panel.picture
    if picture.shape[1] > panel_width(columns):
        picture = _scaled(picture, panel_width(columns))
    caption = f'{html.escape(panel.title)} <span>{html.escape(panel.note)}</span>'
    image = f'<img alt="{html.escape(panel.title)}" src="{data_uri(picture)}">'
    return f'<figure><figcaption>{caption}</figcaption>{image}</figure>'


def data_uri(picture: np.ndarray) -> str:
    """Return a BGR picture ``(H, W, 3)`` as an address that holds its bytes, as JPEG."""
    encoded = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    return f'data:image/jpeg;base64,{base64.b64encode(encoded).decode()}'


def write_html(path: str | os.PathLike, title: str, sections: Sequence[Section]) -> None:
    """Write a page as HTML, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(format_html(title, sections), encoding='utf-8')
