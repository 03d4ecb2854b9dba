"""What stands along the street: trees, lamps, poles, and things that look like objects in one modality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from sample_scenes.canvas import Canvas, Painter
from sample_scenes.people import draw_person, random_look, walking_joints
from sample_scenes.street import Lamp, Street
from sample_scenes.weather import Weather

ARM = 1.6  # metres from the mast of a street lamp to its head
HIDDEN = 0.06  # how much of the contrast is left in the modality that does not show a thing


@dataclass(frozen=True)
class Thing:
    """One thing along the street."""

    z: float  # what has the largest is drawn first
    draw: Callable[[], object]
    footprint: list | None = None  # corners on the ground (4, 3) in metres, of what casts a shadow
    tall: float = 0.0


class Scenery:
    """Places things along a street, and draws them on a canvas."""

    def __init__(self, canvas: Canvas, weather: Weather, rng: np.random.Generator) -> None:
        self.canvas, self.weather, self.rng = canvas, weather, rng

    def arrange(self, street: Street) -> list[Thing]:
        """Place the things; working lamps are switched on, which placing the objects has to know."""
        weather, rng, things = self.weather, self.rng, []

        def add(paint: Callable, x: float, z: float, half: float, tall: float, *options: object) -> None:
            corners = (-half, -half), (half, -half), (half, half), (-half, half)
            spot = [(x + a, 0, z + b) for a, b in corners]
            things.append(Thing(z, partial(paint, x, z, *options), spot, tall))

        for side in (-1, 1):
            kerb = street.kerb(side)
            lamp_z = float(rng.uniform(9, 15))
            for z in (lamp_z, lamp_z + 16):
                x, on = kerb + side * 0.35, bool(rng.random() < 0.5) and weather.night
                if on:
                    position = float(x - np.sign(x) * ARM), 5.6, float(z)
                    street.lamps.append(Lamp(position, 1.15, 3.2, (0.55, 0.85, 1.1)))
                add(self.lamp, x, z, 0.08, 6, on)
            for _ in range(int(rng.integers(0, 4))):
                z, tall = float(rng.uniform(13, 45)), float(rng.uniform(4.5, 7.5))
                add(self.tree, kerb + side * (street.walk - 0.4), z, 0.5, tall * 0.6, tall)
            if rng.random() < 0.5:
                z, sign = float(rng.uniform(9, 30)), bool(rng.random() < 0.6)
                add(self.pole, kerb + side * 0.5, z, 0.08, 3, sign)
        for paint in self._clutter():
            side = 1 if rng.random() < 0.6 else -1
            kerb = street.kerb(side)
            x, z = kerb + side * rng.uniform(0.5, street.walk), float(1 / rng.uniform(1 / 24, 1 / 9))
            order = z
            if paint == self.heat_ghost:  # flat things are drawn before all that stands
                x, order = kerb - side * 1.1, z + 200
            things.append(Thing(order, partial(paint, x, z)))
        return things

    def _clutter(self) -> list[Callable]:
        """Draw which things of one modality stand in the scene."""
        chosen = []
        if not self.weather.crossover:
            chosen += [self.warm_post] * int(self.rng.integers(0, 3))
            chosen += [self.warm_box] * int(self.rng.integers(0, 2))
            chosen += [self.heat_ghost] * int(self.rng.random() < 0.25)
            chosen += [self.mannequin] * int(self.rng.integers(0, 3))
            chosen += [self.poster] * int(self.rng.random() < 0.3)
        return chosen + [self.shrub] * int(self.rng.integers(0, 3))

    def tree(self, x: float, z: float, tall: float) -> None:
        """Draw a tree: a trunk and clusters of leaves."""
        painter = Painter(self.canvas, x, z)
        metre = painter.metre
        fork = (0, tall * 0.5, self.rng.uniform(-0.2, 0.2))
        painter.bar([(0, 0, 0), fork], 0.32, (45, 60, 75), self.weather.ambient + 1)
        crown = painter.pixels([(0, tall * 0.7, 0)])[0]
        green = np.array((45, 95, 70)) * self.rng.uniform(0.7, 1.15) + (0, 0, self.rng.uniform(-10, 35))
        count = 16 if tall * metre < 90 else 28
        angle, reach = self.rng.uniform(0, 2 * np.pi, count), np.sqrt(self.rng.random(count))
        spots = np.stack([np.cos(angle) * reach * 0.3, np.sin(angle) * reach * 0.3], 1) * tall * metre
        for spot in spots[np.argsort(spots[:, 1])[::-1]]:
            bright = 0.75 - 0.45 * spot[1] / (0.3 * tall * metre) * 0.6 + self.rng.uniform(-0.15, 0.2)
            radius = tall * self.rng.uniform(0.07, 0.13) * metre
            heat = self.weather.ambient + self.rng.uniform(-1.5, 1.2) + (1 if self.weather.sun else 0)
            painter.disc(crown + spot, radius, green * bright, heat)
        painter.commit(z)

    def lamp(self, x: float, z: float, on: bool) -> None:
        """Draw a street lamp with an arm over the road."""
        painter, reach = Painter(self.canvas, x, z), -np.sign(x) * ARM
        mast = [(0, 0, 0), (0, 6.0, 0), (0, 6.4, reach * 0.6), (0, 6.4, reach)]
        painter.bar(mast, 0.14, (95, 95, 90), self.weather.ambient - 0.5)
        head = [(0, 6.28, reach - 0.35), (0, 6.28, reach + 0.35), (0, 6.5, reach)]
        heat = self.weather.ambient + (22 if on else 1)
        painter.face(head, (150, 150, 145), heat, (150, 215, 255) if on else None)
        painter.commit(z)

    def pole(self, x: float, z: float, sign: bool) -> None:
        """Draw a pole, with a round traffic sign if ``sign``, else with an arm."""
        painter, heat = Painter(self.canvas, x, z), self.weather.ambient
        if sign:
            painter.bar([(0, 0, 0), (0, 2.6, 0)], 0.09, (120, 120, 120), heat + 0.5)
            painter.ball((0, 2.6, 0), 0.36, (40, 40, 205), heat - 1.5)
            painter.ball((0, 2.6, 0), 0.26, (235, 235, 235), heat - 1.5)
        else:
            painter.bar([(0, 0, 0), (0, 7.5, 0)], 0.24, (50, 65, 80), heat + 0.5)
            painter.bar([(0, 6.9, -0.9), (0, 6.9, 0.9)], 0.14, (50, 65, 80), heat + 0.5)
        painter.commit(z)

    def warm_post(self, x: float, z: float) -> None:
        """Draw a warm pipe or boiler as tall as a person that the visible image hardly shows."""
        painter, tall = Painter(self.canvas, x, z), self.rng.uniform(1.2, 1.8)
        heat = max(self.weather.ambient + self.rng.uniform(9, 16), 26)
        painter.bar([(0, 0.15, 0), (0, tall - 0.2, 0)], self.rng.uniform(0.32, 0.45), (120, 120, 120), heat)
        painter.ball((0, tall - 0.2, 0), 0.24, (120, 120, 120), heat + 3)
        painter.commit(z, visible=HIDDEN)

    def warm_box(self, x: float, z: float) -> None:
        """Draw a warm cabinet or vent, as wide as a car's rear, that the visible image hardly shows."""
        painter = Painter(self.canvas, x, z)
        wide, tall = self.rng.uniform(0.7, 1.7), self.rng.uniform(0.8, 1.4)
        heat = self.weather.ambient + self.rng.uniform(6, 14)
        painter.upright((-wide / 2, wide / 2), (0, tall), (130, 130, 130), heat)
        for level in np.arange(0.25, tall - 0.1, 0.25):
            painter.bar([(0, level, -wide * 0.35), (0, level, wide * 0.35)], 0.05, (130, 130, 130), heat + 5)
        painter.commit(z, visible=HIDDEN)

    def heat_ghost(self, x: float, z: float) -> None:
        """Draw the warmth that a car leaves on the ground where it stood."""
        painter = Painter(self.canvas, x, z)
        for half, long, warm in ((0.9, 2.1, 4.0), (0.7, 1.7, 6.0)):
            quad = [(-long, 0, -half), (long, 0, -half), (long, 0, half), (-long, 0, half)]
            painter.face(quad, (100, 100, 100), self.weather.road + warm)
        painter.commit(None, visible=HIDDEN)

    def mannequin(self, x: float, z: float) -> None:
        """Draw a cardboard person: clear in the visible image, at the temperature of its surroundings."""
        look = random_look(self.rng)
        painter = Painter(self.canvas, x, z, float(self.rng.uniform(0, 2 * np.pi)))
        draw_person(painter, look, walking_joints(look), self.weather.ambient).commit(z, thermal=HIDDEN)

    def poster(self, x: float, z: float) -> None:
        """Draw a hoarding with the picture of a person on it."""
        board = Painter(self.canvas, x, z)
        board.upright((-0.8, 0.8), (0.4, 2.7), (70, 70, 70), self.weather.ambient)
        board.upright((-0.72, 0.72), (0.48, 2.62), tuple(self.rng.uniform(120, 230, 3)), self.weather.ambient)
        look = random_look(self.rng)
        joints = {name: (a, y * 0.95 + 0.65, w) for name, (a, y, w) in walking_joints(look).items()}
        board.pose = (x, z, np.pi if self.rng.random() < 0.5 else 1.8)
        draw_person(board, look, joints, self.weather.ambient).commit(z, thermal=HIDDEN)

    def shrub(self, x: float, z: float) -> None:
        """Draw a dark shrub as tall as a person."""
        painter, wide = Painter(self.canvas, x, z), self.rng.uniform(0.25, 0.6)
        for level in np.linspace(0.15, self.rng.uniform(1.0, 1.5), 7):
            for side in (-0.5, 0.0, 0.5):
                spot = (0, level, side * wide + self.rng.uniform(-0.1, 0.1))
                painter.ball(spot, self.rng.uniform(0.16, 0.26), (32, 62, 42), self.weather.ambient)
        painter.commit(z, thermal=HIDDEN)
