"""One palette for pictures and curves, Okabe and Ito's, told apart with every kind of colour vision."""

from __future__ import annotations

COLOURS = ('#E69F00', '#56B4E9', '#009E73', '#CC79A7', '#F0E442', '#D55E00', '#0072B2')
CURVES = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000')
"""For lines on white paper: without the yellow, the strongest first."""
STYLES = ('-', '--', ':', '-.')
PALETTE = tuple(tuple(bytes.fromhex(colour[1:])[::-1]) for colour in COLOURS)
"""The colours as (B, G, R), for pictures."""


def class_colour(label: int) -> tuple[int, int, int]:
    """Return the colour (B, G, R) of a class; the palette repeats after seven."""
    return PALETTE[label % len(PALETTE)]
