"""What a scene is drawn on: colour, temperature, light, depth and owner of every pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from mmslg.testing.scenes.camera import Camera

COLDEST = -20.0  # degrees Celsius of temperature code 0
CODES_PER_DEGREE = 3.5
SHIFT = 3  # fractional bits of the coordinates given to OpenCV
CIRCLES = [
    np.stack([np.cos(angle), np.sin(angle)], 1)
    for angle in (np.linspace(0, 2 * np.pi, count, endpoint=False) for count in (8, 14))
]
MARGIN = 400  # pixels outside the canvas that still count as part of an object


def temperature_code(celsius: float) -> float:
    """Return the 8-bit code of a temperature."""
    return min(max((float(celsius) - COLDEST) * CODES_PER_DEGREE, 0.0), 255.0)


@dataclass
class Footprint:
    """How much of an object there is: pixels of its silhouette, in and outside the image."""

    area: int


class Canvas:
    """The layers of a scene.

    Attributes:
        surface: (H, W, 4) uint8; the colour of the surface under white light (BGR) and its temperature code.
        light: (H, W, 3) uint8; light that the surface sends out itself (BGR).
        depth: (H, W) float32; metres.
        owner: (H, W) uint8; the number of the object seen there, 0 for the street.
        backdrop: Like ``surface``, without objects and clutter; what hidden things blend into.
    """

    def __init__(self, camera: Camera) -> None:
        height, width = camera.shape
        self.camera = camera
        self.surface = np.zeros((height, width, 4), np.uint8)
        self.backdrop = self.surface
        self.light = np.zeros((height, width, 3), np.uint8)
        self.depth = np.full((height, width), 250.0, np.float32)
        self.owner = np.zeros((height, width), np.uint8)

    def freeze(self) -> None:
        """Keep the ground and the houses as the backdrop; from here on only scenery is added to it."""
        self.backdrop = self.surface.copy()


class Painter:
    """Collects shapes of one thing and puts them on a canvas at one go.

    Coordinates are pixels of the canvas (column, row). ``commit`` draws them in the order given.
    """

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.camera = canvas.camera
        self._shapes: list[tuple] = []

    def polygon(self, points: np.ndarray, colour: tuple, celsius: float, glow: tuple | None = None) -> None:
        """Add a filled polygon with ``points`` (N, 2)."""
        points = np.asarray(points, np.float64)
        self._shapes.append((points, None, (*colour, celsius), glow))

    def line(self, points: np.ndarray, width: float, colour: tuple, celsius: float) -> None:
        """Add an open line ``width`` pixels thick with round ends."""
        self._shapes.append((np.asarray(points, np.float64), max(1, round(width)), (*colour, celsius), None))

    def disc(
        self,
        centre: np.ndarray,
        radius: float,
        colour: tuple,
        celsius: float,
        glow: tuple | None = None,
        stretch: float = 1.0,
    ) -> None:
        """Add a disc; ``stretch`` is its height divided by its width."""
        circle = CIRCLES[radius >= 3] * (max(radius, 0.5), max(radius, 0.5) * stretch)
        self.polygon(circle + centre, colour, celsius, glow)

    def commit(
        self,
        depth: float | Callable[[np.ndarray], np.ndarray] | None,
        owner: int = 0,
        thermal: float = 1.0,
        visible: float = 1.0,
    ) -> Footprint:
        """Draw the shapes.

        Args:
            depth: Metres, or a function from columns to metres; None for what lies flat on the ground.
            owner: The object's number, 0 for the street.
            thermal: How much the temperature differs from the backdrop, 0 to 1. An object near 0 has taken
                the temperature of its surroundings.
            visible: The same for the colour.
        """
        shapes, self._shapes = self._shapes, []
        if not shapes:
            return Footprint(0)
        canvas = self.canvas
        height, width = canvas.owner.shape
        every = np.concatenate([points for points, *_ in shapes])
        thickest = max(thick or 0 for _, thick, _, _ in shapes)
        low, high = every.min(0) - thickest, every.max(0) + thickest
        left, top = (int(v) - 1 for v in np.clip(low, -MARGIN, (width + MARGIN, height + MARGIN)))
        right, bottom = (int(v) + 2 for v in np.clip(high, -MARGIN, (width + MARGIN, height + MARGIN)))
        inner = np.s_[max(top, 0) : max(min(bottom, height), 0), max(left, 0) : max(min(right, width), 0)]
        patch_rows, patch_columns = bottom - top, right - left
        before = canvas.surface[inner]
        if before.size:
            local = np.s_[
                inner[0].start - top : inner[0].stop - top, inner[1].start - left : inner[1].stop - left
            ]
        mask = np.zeros((patch_rows, patch_columns), np.uint8)
        patch = np.zeros((patch_rows, patch_columns, 4), np.uint8)
        origin = np.array((left, top), np.float64)
        glowing = any(glow is not None for *_, glow in shapes)
        light = np.zeros((patch_rows, patch_columns, 3), np.uint8) if glowing else None
        for points, thick, (*colour, celsius), glow in shapes:
            fixed = [np.rint((points - origin) * (1 << SHIFT)).astype(np.int32)]
            value = (*(min(max(float(c), 0.0), 255.0) for c in colour), temperature_code(celsius))
            _draw(patch, fixed, thick, value)
            _draw(mask, fixed, thick, 255)
            if light is not None:
                _draw(light, fixed, thick, glow or (0, 0, 0))
        footprint = Footprint(cv2.countNonZero(mask))
        if not before.size:
            return footprint
        inside = mask[local] > 0
        patch = patch[local]
        behind = canvas.backdrop[inner]
        if visible < 1:
            patch[..., :3] = cv2.addWeighted(patch[..., :3], visible, behind[..., :3], 1 - visible, 0)
        if thermal < 1:
            patch[..., 3] = cv2.addWeighted(patch[..., 3], thermal, behind[..., 3], 1 - thermal, 0)
        cv2.copyTo(patch, mask[local], before)
        if not owner and visible == thermal == 1 and canvas.backdrop is not canvas.surface:
            cv2.copyTo(patch, mask[local], behind)
        cover = light[local] if light is not None else np.zeros((*inside.shape, 3), np.uint8)
        if visible < 1:
            cover = cv2.addWeighted(cover, visible, canvas.light[inner], 1 - visible, 0)
        cv2.copyTo(cover, mask[local], canvas.light[inner])
        if callable(depth):
            columns = np.arange(inner[1].start, inner[1].stop) + 0.5
            metres = np.broadcast_to(depth(columns).astype(np.float32), inside.shape)
            canvas.depth[inner][inside] = metres[inside]
        elif depth is not None:
            canvas.depth[inner][inside] = depth
        canvas.owner[inner][inside] = owner
        return footprint


def _draw(image: np.ndarray, points: list[np.ndarray], thick: int | None, value: tuple | int) -> None:
    if thick is None:
        cv2.fillPoly(image, points, value, shift=SHIFT)
    else:
        cv2.polylines(image, points, False, value, thick, shift=SHIFT)
