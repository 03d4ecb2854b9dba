"""Cars: a side profile given a width, seen from any direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sample_scenes.canvas import Painter, heading_axes, place, shade

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
# Parts of a car: brightness of the paint, and degrees above the air when warm and when cold.
PARTS = {
    'bumper': (0.72, 14, 0), 'rear': (0.8, 7, 0.5), 'deck': (1.08, 4, 1), 'roof': (1.15, 3, -1.5),
    'bonnet': (1.1, 13, 1), 'front': (0.82, 17, 0.5), 'body': (0.95, 4.5, 0.5), 'glass': (0.9, -1.5, -2.5),
    'tyre': (0, 15, 0.5), 'floor': (0, 9, 0), 'lamp': (0, 12, 0), 'grille': (0, 22, 0.5),
}  # fmt: skip
STRIPS = ('bumper', 'rear', 'deck', 'glass', 'roof', 'glass', 'bonnet', 'front', 'bumper')
PAINTS = [
    (225, 225, 228), (70, 66, 64), (36, 34, 34), (168, 168, 166), (40, 40, 170),
    (140, 70, 30), (60, 95, 50), (60, 150, 205), (190, 195, 205), (110, 60, 60),
]  # fmt: skip
GLASS = (58, 50, 44)
TYRE = (28, 28, 28)
AXLES = (-1.3, 1.3)


@dataclass
class Car:
    """One car that is drawn with ``painter``."""

    painter: Painter
    shape: str  # a key of PROFILES
    paint: tuple  # BGR
    ambient: float  # degrees of the air
    running: bool  # whether engine, wheels and exhaust are warm
    lights: bool = False

    def draw(self) -> Painter:
        """Add the shapes of the car."""
        self.profile = np.array(PROFILES[self.shape])
        self.half = 0.98 if self.shape == 'van' else 0.88
        self._underside()
        self._strips()
        self._side()
        return self.painter

    def _heat(self, part: str) -> float:
        _, warm, cold = PARTS[part]
        return self.ambient + (warm if self.running else cold)

    def _half_at(self, height: float) -> float:
        belt, roof = self.profile[3:5, 1]
        return self.half - 0.2 * float(np.clip((height - belt) / (roof - belt), 0, 1))

    def _underside(self) -> None:
        for ahead in AXLES:
            for side in (-1, 1):
                inner, outer = side * (self.half - 0.24), side * (self.half - 0.02)
                quad = [(ahead, 0, inner), (ahead, 0, outer), (ahead, 0.5, outer), (ahead, 0.5, inner)]
                self.painter.face(quad, TYRE, self._heat('tyre'))
        w, low, high, reach = self.half - 0.1, 0.2, 0.5, 1.7
        corners = [(-reach, -w), (-reach, w), (reach, w), (reach, -w)]
        for (a0, w0), (a1, w1) in zip(corners, corners[1:] + corners[:1]):
            quad = [(a0, low, w0), (a1, low, w1), (a1, high, w1), (a0, high, w0)]
            self.painter.face(quad, (24, 24, 24), self._heat('floor'))

    def _strips(self) -> None:
        """Draw what is turned to the camera of everything but the sides, the farthest first."""
        order = []
        for index, ((a0, y0), (a1, y1)) in enumerate(zip(self.profile, self.profile[1:])):
            w0, w1 = self._half_at(y0), self._half_at(y1)
            world = place([(a0, y0, -w0), (a0, y0, w0), (a1, y1, w1), (a1, y1, -w1)], *self.painter.pose)
            pixels = self.painter.camera.project(world)
            after = np.roll(pixels, -1, 0)
            if (pixels[:, 0] * after[:, 1] - after[:, 0] * pixels[:, 1]).sum() < 0:
                order.append((-np.hypot(*world.mean(0)[[0, 2]]), index, pixels))
        for _, index, pixels in sorted(order, key=lambda item: item[0]):
            part = STRIPS[index]
            heat = self._heat('body' if part == 'glass' else part)
            self.painter.polygon(pixels, shade(self.paint, PARTS[part][0]), heat)
            if part == 'glass':
                centre = pixels.mean(0)
                self.painter.polygon(centre + (pixels - centre) * 0.86, GLASS, self._heat('glass'))
                if index == 3 and self.running:  # the heater's warm lines
                    wire = pixels[:2] * 0.6 + pixels[[3, 2]] * 0.4
                    self.painter.line(wire, 1, (66, 60, 55), self._heat('glass') + 2)
            if part in ('rear', 'front'):
                self._ending(index, part == 'front')

    def _on_strip(self, index: int, along: tuple, across: tuple, *look: object) -> None:
        start, end = self.profile[index], self.profile[index + 1]
        if index > 4:
            start, end = end, start
        (a0, y0), (a1, y1) = (start + (end - start) * fraction for fraction in along)
        left, right = across
        self.painter.face([(a0, y0, left), (a0, y0, right), (a1, y1, right), (a1, y1, left)], *look)

    def _ending(self, index: int, front: bool) -> None:
        """Draw lamps, number plate, grille and exhaust."""
        bumper = 8 if front else 0
        colour = (215, 225, 225) if front else (40, 36, 190)
        glow = ((225, 245, 255) if front else (30, 20, 235)) if self.lights else None
        for side in (-1, 1):
            across = side * (self.half - 0.36), side * (self.half - 0.03)
            self._on_strip(index, (0.15, 0.85), across, colour, self._heat('lamp'), glow)
        if front:
            self._on_strip(index, (0.1, 0.75), (-0.42, 0.42), (35, 35, 35), self._heat('grille'))
        self._on_strip(bumper, (0.35, 0.8), (-0.26, 0.26), (205, 215, 215), self.ambient + 1)
        if not front and self.running:
            self._on_strip(bumper, (0.0, 0.25), (0.4, 0.66), (50, 50, 50), self.ambient + 32)

    def _side(self) -> None:
        painter, profile, half = self.painter, self.profile, self.half
        x, z, heading = painter.pose
        _, right = heading_axes(heading)
        towards = -(right[0] * x + right[2] * z)
        if abs(towards) <= half:
            return
        side, body = 1 if towards > 0 else -1, self._heat('body')
        points = [(a, y, side * self._half_at(y)) for a, y in profile]
        painter.face(points, shade(self.paint, 0.95), body)
        sill = [(a, y, side * half) for a, y in ((-1.9, 0.3), (1.9, 0.3), (1.95, 0.42), (-1.95, 0.42))]
        painter.face(sill, shade(self.paint, 0.6), body + 1)
        belt, roof = profile[3, 1] + 0.04, profile[4, 1] - 0.08
        (rear_low, rear_high), (front_high, front_low) = profile[3:5, 0], profile[5:7, 0]
        middle = (rear_high + front_high) / 2
        low, high = side * self._half_at(belt), side * self._half_at(roof)
        for a0, a1, a2, a3 in (
            (rear_low + 0.25, middle - 0.05, middle - 0.05, rear_high + 0.08),
            (middle + 0.05, front_low - 0.2, front_high - 0.05, middle + 0.05),
        ):
            window = [(a0, belt, low), (a1, belt, low), (a2, roof, high), (a3, roof, high)]
            painter.face(window, GLASS, self._heat('glass'))
        door = [(middle, 0.35, side * half), (middle, belt, low)]
        painter.bar(door, 0.02, shade(self.paint, 0.7), body - 0.5)
        tyre, circle = self._heat('tyre'), np.linspace(0, 2 * np.pi, 16, endpoint=False)
        for ahead in AXLES:
            rings = (0.40, (20, 20, 20), body), (0.33, TYRE, tyre), (0.2, (150, 150, 150), tyre + 2)
            for radius, *look in rings:
                rim = [(radius * np.cos(t), max(0.33 + radius * np.sin(t), 0), side * half) for t in circle]
                painter.face([(ahead + a, y, w) for a, y, w in rim], *look)
