"""Feature maps with the caption that belongs to them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class BackboneOutput(NamedTuple):
    """What the backbone returns and the necks in between hand on.

    Attributes:
        maps: Feature maps ``(B, C, H/s, W/s)``, finest first.
        text: Caption embeddings ``(B, 4, d)`` or ``(B, 4, L, d)``; None when the pipeline loads none.
    """

    maps: tuple[Tensor, ...]
    text: Tensor | None = None
