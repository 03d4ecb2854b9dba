"""A pinhole camera at driver height that looks down the road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAREST = 0.6  # metres; what is nearer is projected as if it were here


@dataclass(frozen=True)
class Camera:
    """Where the camera is and what it sees, in pixels of the drawing canvas.

    World axes: X to the right, Y up from the ground, Z ahead, in metres.

    Args:
        focal: Focal length.
        centre: Column of the vanishing point.
        horizon: Row of the horizon.
        height: Metres above the ground.
        shape: Height and width of the canvas.
    """

    focal: float
    centre: float
    horizon: float
    height: float
    shape: tuple[int, int]

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project world points (N, 3) to columns and rows (N, 2)."""
        scale = self.focal / np.maximum(points[:, 2], NEAREST)
        pixels = np.empty((len(points), 2))
        pixels[:, 0] = self.centre + points[:, 0] * scale
        pixels[:, 1] = self.horizon + (self.height - points[:, 1]) * scale
        return pixels

    def scale(self, depth: float) -> float:
        """Return how many pixels a metre has at ``depth``."""
        return self.focal / max(depth, NEAREST)

    def ground_depth(self) -> np.ndarray:
        """Return the depth of the ground for each row; rows above the horizon are far away."""
        rows = np.arange(self.shape[0]) + 0.5
        below = np.maximum(rows - self.horizon, 1e-3)
        return np.minimum(self.focal * self.height / below, 250.0).astype(np.float32)


def heading_axes(heading: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit vectors ahead and to the right of something with this heading.

    Args:
        heading: Radians; 0 looks away from the camera (+Z), pi/2 to the right (+X), pi at the camera.
    """
    ahead = np.array([np.sin(heading), 0.0, np.cos(heading)])
    right = np.array([np.cos(heading), 0.0, -np.sin(heading)])
    return ahead, right


def place(local: np.ndarray, x: float, z: float, heading: float) -> np.ndarray:
    """Turn local points (ahead, up, right) into world points (X, Y, Z)."""
    local = np.asarray(local, np.float64)
    ahead, right = heading_axes(heading)
    world = local[:, :1] * ahead + local[:, 2:] * right
    world[:, 1] = local[:, 1]
    return world + np.array([x, 0.0, z])
