"""What a scene is drawn on: a camera, and colour, temperature, light, depth and owner of every pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

NEAREST = 0.6  # metres; what is nearer is projected as if it were here
FARTHEST = 250.0
COLDEST = -20.0  # degrees Celsius of temperature code 0
CODES_PER_DEGREE = 3.5
SHIFT = 3  # fractional bits of the coordinates given to OpenCV
MARGIN = 400  # pixels outside the canvas that still count as part of an object
CIRCLES = [
    np.stack([np.cos(angle), np.sin(angle)], 1)
    for angle in (np.linspace(0, 2 * np.pi, count, endpoint=False) for count in (8, 14))
]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at driver height that looks down the road.

    World axes: X to the right, Y up from the ground, Z ahead, in metres. Pixels are those of the canvas.
    """

    focal: float
    centre: float  # column of the vanishing point
    horizon: float  # row
    height: float  # metres above the ground
    shape: tuple[int, int]  # rows and columns of the canvas

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project world points (N, 3) to columns and rows (N, 2)."""
        scale = self.focal / np.maximum(points[:, 2], NEAREST)
        columns = self.centre + points[:, 0] * scale
        return np.stack([columns, self.horizon + (self.height - points[:, 1]) * scale], 1)

    def ground_depth(self) -> np.ndarray:
        """Return the depth of the ground for each row; rows above the horizon are far away."""
        below = np.maximum(np.arange(self.shape[0]) + 0.5 - self.horizon, 1e-3)
        return np.minimum(self.focal * self.height / below, FARTHEST).astype(np.float32)


def heading_axes(heading: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit vectors ahead and to the right of what has this heading.

    Radians; 0 looks away from the camera (+Z), pi/2 to the right (+X), pi at the camera.
    """
    sin, cos = np.sin(heading), np.cos(heading)
    return np.array([sin, 0.0, cos]), np.array([cos, 0.0, -sin])


def place(local: list | np.ndarray, x: float, z: float, heading: float) -> np.ndarray:
    """Turn local points (ahead, up, right) into world points (X, Y, Z)."""
    local = np.asarray(local, np.float64)
    ahead, right = heading_axes(heading)
    world = local[:, :1] * ahead + local[:, 2:] * right
    world[:, 1] = local[:, 1]
    return world + np.array([x, 0.0, z])


def temperature_code(celsius: float) -> float:
    """Return the 8-bit code of a temperature."""
    return min(max((float(celsius) - COLDEST) * CODES_PER_DEGREE, 0.0), 255.0)


def shade(colour: tuple, factor: float) -> tuple:
    """Return a colour made darker or brighter."""
    return tuple(factor * float(channel) for channel in colour)


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
        self.camera = camera
        self.surface = np.zeros((*camera.shape, 4), np.uint8)
        self.backdrop = self.surface
        self.light = np.zeros((*camera.shape, 3), np.uint8)
        self.depth = np.full(camera.shape, FARTHEST, np.float32)
        self.owner = np.zeros(camera.shape, np.uint8)

    def freeze(self) -> None:
        """Keep the ground and the houses as the backdrop; from here on only scenery is added to it."""
        self.backdrop = self.surface.copy()

    def is_ground(self) -> np.ndarray:
        """Return where the ground is seen, (H, W) bool."""
        flat = np.abs(self.depth - self.camera.ground_depth()[:, None]) < 0.02
        return flat & (self.owner == 0)


class Painter:
    """Collects the shapes of one thing that stands at (x, z) and puts them on a canvas at one go.

    ``face``, ``bar`` and ``ball`` take local points (ahead, up, right) and widths in metres; ``polygon``,
    ``line`` and ``disc`` take pixels of the canvas. ``commit`` draws them in the order given.
    """

    def __init__(self, canvas: Canvas, x: float = 0.0, z: float = 0.0, heading: float = 0.0) -> None:
        self.canvas, self.camera, self.pose = canvas, canvas.camera, (x, z, heading)
        self.metre = self.camera.focal / max(z, NEAREST)
        self._shapes: list[tuple] = []

    def pixels(self, points: list | np.ndarray) -> np.ndarray:
        """Project local points (N, 3)."""
        return self.camera.project(place(points, *self.pose))

    def polygon(self, points: np.ndarray, colour: tuple, celsius: float, glow: tuple | None = None) -> None:
        """Add a filled polygon with ``points`` (N, 2)."""
        self._shapes.append((np.asarray(points, np.float64), None, (*colour, celsius), glow))

    def line(self, points: np.ndarray, width: float, colour: tuple, celsius: float) -> None:
        """Add an open line ``width`` pixels thick with round ends."""
        self._shapes.append((np.asarray(points, np.float64), max(1, round(width)), (*colour, celsius), None))

    def disc(
        self, centre: np.ndarray, radius: float, colour: tuple, celsius: float, glow: tuple | None = None,
        stretch: float = 1.0,
    ) -> None:  # fmt: skip
        """Add a disc; ``stretch`` is its height divided by its width."""
        circle = CIRCLES[radius >= 3] * (max(radius, 0.5), max(radius, 0.5) * stretch)
        self.polygon(circle + centre, colour, celsius, glow)

    def face(self, points: list, colour: tuple, celsius: float, glow: tuple | None = None) -> None:
        """Add a filled polygon."""
        self.polygon(self.pixels(points), colour, celsius, glow)

    def upright(
        self, across: tuple, up: tuple, colour: tuple, celsius: float, glow: tuple | None = None
    ) -> None:
        """Add an upright rectangle between two distances to the right and two heights."""
        (r0, r1), (y0, y1) = across, up
        self.face([(0, y0, r0), (0, y0, r1), (0, y1, r1), (0, y1, r0)], colour, celsius, glow)

    def bar(self, points: list, width: float, colour: tuple, celsius: float) -> None:
        """Add an open line ``width`` metres thick."""
        self.line(self.pixels(points), width * self.metre, colour, celsius)

    def ball(self, centre: tuple, radius: float, *look: object, **options: float) -> None:
        """Add a disc with a radius in metres."""
        self.disc(self.pixels([centre])[0], radius * self.metre, *look, **options)

    def commit(
        self,
        depth: float | Callable[[np.ndarray], np.ndarray] | None,
        owner: int = 0,
        thermal: float = 1.0,
        visible: float = 1.0,
    ) -> int:
        """Draw the shapes.

        Args:
            depth: Metres, or a function from columns to metres; None for what lies flat on the ground.
            owner: The object's number, 0 for the street.
            thermal: How much the temperature differs from the backdrop, 0 to 1. An object near 0 has taken
                the temperature of its surroundings.
            visible: The same for the colour.

        Returns:
            Number of pixels of the silhouette, in and outside the image.
        """
        shapes, self._shapes = self._shapes, []
        if not shapes:
            return 0
        canvas = self.canvas
        height, width = canvas.owner.shape
        every = np.concatenate([points for points, *_ in shapes])
        thickest = max(thick or 0 for _, thick, _, _ in shapes)
        edge = np.array((width + MARGIN, height + MARGIN))
        left, top = np.clip(every.min(0) - thickest, -MARGIN, edge).astype(int) - 1
        right, bottom = np.clip(every.max(0) + thickest, -MARGIN, edge).astype(int) + 2
        inner = np.s_[max(top, 0) : max(min(bottom, height), 0), max(left, 0) : max(min(right, width), 0)]
        layers = [np.zeros((bottom - top, right - left, channels), np.uint8) for channels in (1, 4, 3)]
        for points, thick, (*colour, celsius), glow in shapes:
            fixed = [np.rint((points - (left, top)) * (1 << SHIFT)).astype(np.int32)]
            value = (*np.clip(np.array(colour, float), 0.0, 255.0).tolist(), temperature_code(celsius))
            for layer, drawn in zip(layers, (255, value, glow or (0, 0, 0))):
                if thick is None:
                    cv2.fillPoly(layer, fixed, drawn, shift=SHIFT)
                else:
                    cv2.polylines(layer, fixed, False, drawn, thick, shift=SHIFT)
        area = cv2.countNonZero(layers[0])
        before, behind, light = canvas.surface[inner], canvas.backdrop[inner], canvas.light[inner]
        if not before.size:
            return area
        shift_rows, shift_columns = inner[0].start - top, inner[1].start - left
        rows, columns = before.shape[:2]
        mask, patch, glows = (
            layer[shift_rows : shift_rows + rows, shift_columns : shift_columns + columns] for layer in layers
        )
        inside = mask[..., 0] > 0
        if visible < 1:
            patch[..., :3] = cv2.addWeighted(patch[..., :3], visible, behind[..., :3], 1 - visible, 0)
            glows = cv2.addWeighted(glows, visible, light, 1 - visible, 0)
        if thermal < 1:
            patch[..., 3] = cv2.addWeighted(patch[..., 3], thermal, behind[..., 3], 1 - thermal, 0)
        cv2.copyTo(patch, mask, before)
        if not owner and visible == thermal == 1 and canvas.backdrop is not canvas.surface:
            cv2.copyTo(patch, mask, behind)
        cv2.copyTo(glows, mask, light)
        if callable(depth):
            metres = depth(np.arange(inner[1].start, inner[1].stop) + 0.5).astype(np.float32)
            canvas.depth[inner][inside] = np.broadcast_to(metres, inside.shape)[inside]
        elif depth is not None:
            canvas.depth[inner][inside] = depth
        canvas.owner[inner][inside] = owner
        return area
