"""Where the persons, cars and bicycles of a scene stand and how warm they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmslg.testing.scenes.camera import Camera, place
from mmslg.testing.scenes.canvas import Painter
from mmslg.testing.scenes.cars import PAINTS, PROFILES, CarLook, draw_car
from mmslg.testing.scenes.people import (
    draw_bicycle,
    draw_person,
    random_person,
    riding_joints,
    walking_joints,
)
from mmslg.testing.scenes.street import HEIGHT_WEIGHT, Lamp, Street
from mmslg.testing.scenes.weather import Weather

COLD = 0.07  # how much of its thermal contrast a thing keeps that has taken the temperature around it
MAX_OVERLAP = 0.45  # of the smaller of two boxes
EXTENT = {'person': (0.5, 0.3, 1.8), 'car': (4.4, 1.8, 1.5), 'bicycle': (1.75, 0.5, 1.1)}  # metres
FRAME_COLOURS = [(40, 40, 200), (200, 110, 30), (40, 160, 60), (210, 210, 210), (30, 30, 30), (30, 180, 220)]


@dataclass(frozen=True)
class Actor:
    """One person, car or bicycle.

    Args:
        kind: 'person', 'car' or 'bicycle'.
        x: Metres to the right of the camera.
        z: Metres ahead.
        heading: Radians, 0 away from the camera.
        thermal: 1 with its own temperature, near 0 with that of what is behind.
        draw: Adds its shapes to a painter.
    """

    kind: str
    x: float
    z: float
    heading: float
    thermal: float
    draw: Callable[[Painter], None]

    def footprint(self) -> np.ndarray:
        """Return the corners on the ground, (4, 3) metres."""
        long, wide, _ = EXTENT[self.kind]
        corners = [(-long / 2, 0, -wide / 2), (long / 2, 0, -wide / 2)]
        corners += [(long / 2, 0, wide / 2), (-long / 2, 0, wide / 2)]
        return place(np.array(corners), self.x, self.z, self.heading)


class Planner:
    """Places actors one by one so that they do not hide each other altogether."""

    def __init__(self, rng: np.random.Generator, camera: Camera, street: Street, weather: Weather) -> None:
        self.rng, self.camera, self.street, self.weather = rng, camera, street, weather
        self.actors: list[Actor] = []
        self.glare: tuple[float, float, float] | None = None
        self._taken: list[np.ndarray] = []

    def plan(self, only: str | None = None) -> list[Actor]:
        """Place 3 to 8 objects, or a single one of kind ``only``."""
        if only is not None:
            while not self.actors:
                self._add(only)
            return self.actors[:1]
        wanted = int(self.rng.integers(4, 9))
        for _ in range(40):
            if len(self.actors) >= wanted:
                break
            self._add(
                str(self.rng.choice(['person', 'car', 'bicycle', 'cyclist'], p=[0.4, 0.31, 0.15, 0.14]))
            )
        return self.actors

    def _add(self, kind: str) -> None:
        {
            'person': self._person, 'car': self._car, 'bicycle': self._bicycle, 'cyclist': self._cyclist,
        }[kind]()  # fmt: skip

    def _near(self, low: float, high: float) -> float:
        """Draw a depth; near ones are as frequent in the image as far ones."""
        return float(1 / self.rng.uniform(1 / high, 1 / low))

    def _free(self, kind: str, x: float, z: float, heading: float) -> bool:
        """Reserve the place of an object unless it is taken or out of the image."""
        long, wide, tall = EXTENT[kind]
        half = (abs(np.sin(heading)) * long + abs(np.cos(heading)) * wide) / 2
        low, high = self.camera.project(np.array([(x - half, tall, z), (x + half, 0, z)]))
        box = np.array([*low, *high])
        height, width = self.camera.shape
        inside = _overlap(box, np.array([0, 0, width, height]))
        if inside < 0.5 * _area(box):
            return False
        for other in self._taken:
            if _overlap(box, other) > MAX_OVERLAP * min(_area(box), _area(other)):
                return False
        self._taken.append(box)
        return True

    def _lit(self, x: float, z: float) -> bool:
        """Tell whether something here gets enough light for the colour camera."""
        if not self.weather.night:
            return True
        return any(_brightness(lamp, x, z) > 0.3 for lamp in self.street.lamps)

    def _thermal(self, cold_share: float, x: float, z: float) -> float:
        """Draw whether a thing has the temperature of its surroundings."""
        if self.weather.crossover:
            return COLD
        if self.weather.night:
            # In the dark what is cold would be seen by neither camera.
            return COLD if self._lit(x, z) and self.rng.random() < 0.75 else 1.0
        return COLD if self.rng.random() < cold_share and self.weather.condition == 'day' else 1.0

    def _person(self) -> None:
        rng, street = self.rng, self.street
        if rng.random() < 0.45:
            z = self._near(7, 24)
            x = float(rng.uniform(max(street.left, -0.45 * z), min(street.right, 0.45 * z)))
            heading = float(rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.25))
        else:
            z = self._near(9, 26)
            side = rng.random() < 0.6
            x = (
                street.right + rng.uniform(0.4, street.walk)
                if side
                else street.left - rng.uniform(0.4, street.walk)
            )
            heading = float(rng.choice([0, np.pi]) + rng.normal(0, 0.4))
        if not self._free('person', x, z, heading):
            return
        look = random_person(rng, self.weather.ambient)
        joints = walking_joints(look)
        thermal = COLD if self.weather.crossover else 1.0
        self.actors.append(
            Actor(
                'person', x, z, heading, thermal,
                lambda painter: draw_person(painter, look, joints, x, z, heading),
            )
        )  # fmt: skip

    def _car(self) -> None:
        rng, street = self.rng, self.street
        slots = ['parked', 'ahead', 'oncoming', 'crossing']
        slot = str(rng.choice(slots, p=[0.45, 0.15, 0.2, 0.2]))
        running = slot != 'parked'
        if slot == 'parked':
            right = street.right > 3.5 and rng.random() < 0.55
            x, heading = (
                (street.right - 1.1, 0.0) if right else (street.left + 1.1, np.pi * rng.integers(0, 2))
            )
            z = self._near(10, 27)
        elif slot == 'ahead':
            x, z, heading = float(rng.normal(0.1, 0.3)), self._near(9, 26), float(rng.normal(0, 0.06))
        elif slot == 'oncoming':
            x = (street.left + 2.3 + street.centre) / 2 + float(rng.normal(0, 0.2))
            z, heading = self._near(9.5, 26), float(np.pi + rng.normal(0, 0.06))
        else:
            z = self._near(14, 24)
            x, heading = (
                float(rng.uniform(-0.42, 0.42) * z),
                float(rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.2)),
            )
            x = float(np.clip(x, street.left - 1, street.right + 1))
        if not self._free('car', x, z, heading):
            return
        thermal = self._thermal(0.0 if running else 0.85, x, z)
        if running and not self.weather.crossover:
            thermal = 1.0
        dark = self.weather.night or self.weather.condition == 'fog'
        lights = float(running and dark and rng.random() < 0.4)
        if self.weather.condition == 'glare' and slot == 'oncoming' and self.weather.night and not self.glare:
            lights = 1.0
            spot = self.camera.project(np.array([(x, 0.8, z)]))[0]
            self.glare = (*(spot / self.camera.shape[::-1]), 1.0)
        if lights and np.cos(heading) < -0.7:
            self.street.lamps.append(Lamp((x, 0.3, z - 4.5), 0.25, 2.0, (1.0, 1.0, 1.0)))
        shape = list(PROFILES)[int(rng.choice(len(PROFILES), p=[0.35, 0.3, 0.22, 0.13]))]
        look = CarLook(shape, PAINTS[rng.integers(len(PAINTS))], self.weather.ambient, running, lights)
        if not running and thermal == 1.0:
            look = CarLook(shape, look.paint, self.weather.ambient, True, 0.0)
        self.actors.append(
            Actor('car', x, z, heading, thermal, lambda painter: draw_car(painter, look, x, z, heading))
        )

    def _bicycle(self) -> None:
        rng, street = self.rng, self.street
        z = self._near(7.5, 17)
        side = rng.random() < 0.6
        x = (
            street.right + rng.uniform(0.3, street.walk)
            if side
            else street.left - rng.uniform(0.3, street.walk)
        )
        if rng.random() < 0.35:
            x = float(rng.uniform(-0.4, 0.4) * z)
        heading = float(rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.3))
        if self._free('bicycle', x, z, heading):
            self._append_bicycle(x, z, heading, self._thermal(0.75, x, z), 3.0, light=False)

    def _append_bicycle(
        self, x: float, z: float, heading: float, thermal: float, warm: float, light: bool
    ) -> None:
        colour = FRAME_COLOURS[self.rng.integers(len(FRAME_COLOURS))]
        celsius = self.weather.road + warm + (5 if thermal == 1.0 else 0)
        self.actors.append(
            Actor(
                'bicycle', x, z, heading, thermal,
                lambda painter: draw_bicycle(painter, colour, celsius, x, z, heading, light),
            )
        )  # fmt: skip

    def _cyclist(self) -> None:
        rng, street = self.rng, self.street
        z = self._near(8, 20)
        if rng.random() < 0.5:
            x = float(rng.uniform(-0.4, 0.4) * z)
            heading = float(rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.25))
        else:
            x = float(rng.choice([street.right - 0.8, street.left + 0.8]))
            heading = float(rng.choice([0, np.pi]) + rng.normal(0, 0.35))
        if not self._free('bicycle', x, z, heading) or not -0.5 * z < x < 0.5 * z:
            return
        thermal = COLD if self.weather.crossover else 1.0
        dark = self.weather.night or self.weather.condition == 'fog'
        self._append_bicycle(x, z, heading, thermal, 4.0, light=bool(dark and rng.random() < 0.3))
        look = random_person(rng, self.weather.ambient)
        joints = riding_joints(float(rng.uniform(0, 2 * np.pi)))
        self.actors.append(
            Actor(
                'person', x, z - 0.01, heading, thermal,
                lambda painter: draw_person(painter, look, joints, x, z, heading),
            )
        )  # fmt: skip


def _brightness(lamp: Lamp, x: float, z: float) -> float:
    away = (
        (x - lamp.position[0]) ** 2
        + (z - lamp.position[2]) ** 2
        + HEIGHT_WEIGHT * (lamp.position[1] - 0.9) ** 2
    )
    return lamp.power / (1 + (away / lamp.reach**2) ** 1.5)


def _area(box: np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    size = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return float(np.prod(np.maximum(size, 0)))
