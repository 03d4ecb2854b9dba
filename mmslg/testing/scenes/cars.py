"""Cars: a side profile given a width, seen from any direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmslg.testing.scenes.camera import heading_axes, place
from mmslg.testing.scenes.canvas import Painter

# Profile from the rear bumper over the roof to the front bumper: metres (ahead, up).
PROFILES = {
    'sedan': [
        (-2.15, 0.28), (-2.2, 0.6), (-2.12, 0.95), (-1.6, 1.0), (-1.0, 1.42),
        (0.2, 1.44), (1.0, 0.98), (1.98, 0.84), (2.18, 0.6), (2.12, 0.26),
    ],
    'hatchback': [
        (-1.85, 0.3), (-1.92, 0.62), (-1.88, 0.95), (-1.82, 1.02), (-1.5, 1.5),
        (0.3, 1.52), (1.05, 1.02), (1.8, 0.86), (1.98, 0.6), (1.92, 0.28),
    ],
    'suv': [
        (-2.1, 0.36), (-2.18, 0.72), (-2.15, 1.05), (-2.1, 1.12), (-1.85, 1.7),
        (0.3, 1.72), (1.0, 1.15), (1.95, 1.02), (2.15, 0.72), (2.1, 0.34),
    ],
    'van': [
        (-2.3, 0.34), (-2.36, 0.75), (-2.34, 1.1), (-2.32, 1.2), (-2.25, 1.95),
        (1.1, 1.97), (1.8, 1.2), (2.25, 1.02), (2.4, 0.7), (2.35, 0.32),
    ],
}  # fmt: skip
STRIPS = ('bumper', 'rear', 'deck', 'glass', 'roof', 'glass', 'bonnet', 'front', 'bumper')
SHADE = {'bumper': 0.72, 'rear': 0.8, 'deck': 1.08, 'roof': 1.15, 'bonnet': 1.1, 'front': 0.82}
PAINTS = [
    (225, 225, 228), (70, 66, 64), (36, 34, 34), (168, 168, 166), (40, 40, 170),
    (140, 70, 30), (60, 95, 50), (60, 150, 205), (190, 195, 205), (110, 60, 60),
]  # fmt: skip
GLASS = (58, 50, 44)
TYRE = (28, 28, 28)


@dataclass(frozen=True)
class CarLook:
    """How one car looks.

    Args:
        shape: A key of ``PROFILES``.
        paint: BGR.
        ambient: Air temperature in degrees Celsius.
        running: Whether engine, wheels and exhaust are warm.
        lights: Brightness of the lamps, 0 off, 1 on.
    """

    shape: str
    paint: tuple
    ambient: float
    running: bool
    lights: float = 0.0


def draw_car(painter: Painter, look: CarLook, x: float, z: float, heading: float) -> None:
    """Add the shapes of a car that stands at (x, z) to ``painter``."""
    body = _Body(painter, look, x, z, heading)
    body.underside()
    body.strips()
    body.side()


class _Body:
    def __init__(self, painter: Painter, look: CarLook, x: float, z: float, heading: float) -> None:
        self.painter, self.camera, self.look = painter, painter.camera, look
        self.pose = (x, z, heading)
        self.profile = np.array(PROFILES[look.shape])
        self.half = 0.98 if look.shape == 'van' else 0.88
        warm = look.running
        base = look.ambient
        self.body_heat = base + (4.5 if warm else 0.5)
        self.heat = {
            'bonnet': base + (13 if warm else 1), 'front': base + (17 if warm else 0.5),
            'bumper': base + (14 if warm else 0), 'rear': base + (7 if warm else 0.5),
            'deck': base + (4 if warm else 1), 'roof': base + (3 if warm else -1.5),
        }  # fmt: skip
        self.glass_heat = base + (-1.5 if warm else -2.5)
        self.tyre_heat = base + (15 if warm else 0.5)

    def pixels(self, points: list) -> np.ndarray:
        return self.camera.project(place(np.asarray(points, float), *self.pose))

    def half_at(self, height: float) -> float:
        belt = self.profile[3, 1]
        roof = self.profile[4, 1]
        return self.half - 0.2 * float(np.clip((height - belt) / (roof - belt), 0, 1))

    def tint(self, factor: float) -> tuple:
        return tuple(channel * factor for channel in self.look.paint)

    def underside(self) -> None:
        half = self.half
        for ahead in (-1.3, 1.3):
            for side in (-1, 1):
                outer, inner = side * (half - 0.02), side * (half - 0.24)
                quad = [(ahead, 0, inner), (ahead, 0, outer), (ahead, 0.5, outer), (ahead, 0.5, inner)]
                self.painter.polygon(self.pixels(quad), TYRE, self.tyre_heat)
        w, low, high, reach = half - 0.1, 0.2, 0.5, 1.7
        corners = [(-reach, -w), (-reach, w), (reach, w), (reach, -w)]
        heat = self.look.ambient + (9 if self.look.running else 0)
        for (a0, w0), (a1, w1) in zip(corners, corners[1:] + corners[:1]):
            quad = [(a0, low, w0), (a1, low, w1), (a1, high, w1), (a0, high, w0)]
            self.painter.polygon(self.pixels(quad), (24, 24, 24), heat)

    def strips(self) -> None:
        profile = self.profile
        order = []
        for index, kind in enumerate(STRIPS):
            (a0, y0), (a1, y1) = profile[index], profile[index + 1]
            w0, w1 = self.half_at(y0), self.half_at(y1)
            local = [(a0, y0, -w0), (a0, y0, w0), (a1, y1, w1), (a1, y1, -w1)]
            world = place(np.array(local), *self.pose)
            pixels = self.camera.project(world)
            facing = _signed_area(pixels)
            if facing < 0:
                order.append((-np.hypot(*world.mean(0)[[0, 2]]), index, kind, pixels))
        for _, index, kind, pixels in sorted(order, key=lambda item: item[0]):
            if kind == 'glass':
                self.painter.polygon(pixels, self.tint(0.9), self.body_heat)
                centre = pixels.mean(0)
                self.painter.polygon(centre + (pixels - centre) * 0.86, GLASS, self.glass_heat)
                if index == 3 and self.look.running:  # the heater's warm lines
                    self.painter.line(
                        pixels[:2] * 0.6 + pixels[[3, 2]] * 0.4, 1, (66, 60, 55), self.glass_heat + 2
                    )
            else:
                self.painter.polygon(pixels, self.tint(SHADE[kind]), self.heat[kind])
            if kind in ('rear', 'front'):
                self.lamps(index, kind)

    def on_strip(self, index: int, along: tuple, across: tuple) -> np.ndarray:
        start, end = self.profile[index], self.profile[index + 1]
        if index > 4:
            start, end = end, start
        (a0, y0), (a1, y1) = (start + (end - start) * fraction for fraction in along)
        left, right = across
        return self.pixels([(a0, y0, left), (a0, y0, right), (a1, y1, right), (a1, y1, left)])

    def lamps(self, index: int, kind: str) -> None:
        half, lights = self.half, self.look.lights
        front = kind == 'front'
        bumper = 8 if front else 0
        colour = (215, 225, 225) if front else (40, 36, 190)
        glow = None
        if lights:
            glow = (225, 245, 255) if front else (30, 20, 235)
            glow = tuple(channel * min(lights, 1.0) for channel in glow)
        heat = self.look.ambient + (12 if self.look.running else 0)
        for side in (-1, 1):
            quad = self.on_strip(index, (0.15, 0.85), (side * (half - 0.36), side * (half - 0.03)))
            self.painter.polygon(quad, colour, heat, glow)
        if front:
            grille = self.on_strip(index, (0.1, 0.75), (-0.42, 0.42))
            self.painter.polygon(grille, (35, 35, 35), self.look.ambient + (22 if self.look.running else 0.5))
        plate = self.on_strip(bumper, (0.35, 0.8), (-0.26, 0.26))
        self.painter.polygon(plate, (205, 215, 215), self.look.ambient + 1)
        if not front and self.look.running:
            pipe = self.on_strip(bumper, (0.0, 0.25), (0.4, 0.66))
            self.painter.polygon(pipe, (50, 50, 50), self.look.ambient + 32)

    def side(self) -> None:
        x, z, heading = self.pose
        _, right = heading_axes(heading)
        towards = -(right[0] * x + right[2] * z)
        if abs(towards) <= self.half:
            return
        side = 1 if towards > 0 else -1
        profile = self.profile
        points = [(a, y, side * self.half_at(y)) for a, y in profile]
        self.painter.polygon(self.pixels(points), self.tint(0.95), self.body_heat)
        sill = [(a, y, side * self.half) for a, y in ((-1.9, 0.3), (1.9, 0.3), (1.95, 0.42), (-1.95, 0.42))]
        self.painter.polygon(self.pixels(sill), self.tint(0.6), self.body_heat + 1)
        belt = profile[3, 1] + 0.04
        roof = profile[4, 1] - 0.08
        (rear_low, rear_high), (front_high, front_low) = profile[3:5, 0], profile[5:7, 0]
        middle = (rear_high + front_high) / 2
        low, high = side * self.half_at(belt), side * self.half_at(roof)
        windows = [
            [(rear_low + 0.25, belt), (middle - 0.05, belt), (middle - 0.05, roof), (rear_high + 0.08, roof)],
            [
                (middle + 0.05, belt),
                (front_low - 0.2, belt),
                (front_high - 0.05, roof),
                (middle + 0.05, roof),
            ],
        ]
        for window in windows:
            quad = [(a, y, low if y == belt else high) for a, y in window]
            self.painter.polygon(self.pixels(quad), GLASS, self.glass_heat)
        door = [(middle, 0.35, side * self.half), (middle, belt, low)]
        width = 0.02 * self.camera.scale(z)
        self.painter.line(self.pixels(door), width, self.tint(0.7), self.body_heat - 0.5)
        circle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        for ahead in (-1.3, 1.3):
            for radius, colour, heat in (
                (0.40, (20, 20, 20), self.body_heat),
                (0.33, TYRE, self.tyre_heat),
                (0.2, (150, 150, 150), self.tyre_heat + 2),
            ):
                rim = [
                    (ahead + radius * np.cos(t), max(0.33 + radius * np.sin(t), 0), side * self.half)
                    for t in circle
                ]
                self.painter.polygon(self.pixels(rim), colour, heat)


def _signed_area(points: np.ndarray) -> float:
    after = np.roll(points, -1, 0)
    return float((points[:, 0] * after[:, 1] - after[:, 0] * points[:, 1]).sum())
