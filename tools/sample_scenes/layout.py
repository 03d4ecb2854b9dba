"""Where the persons, cars and bicycles of a scene stand and how warm they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sample_scenes.canvas import Camera, Canvas, Painter, place
from sample_scenes.cars import PAINTS, PROFILES, Car
from sample_scenes.people import draw_bicycle, draw_person, random_look, riding_joints, walking_joints
from sample_scenes.street import Lamp, Street
from sample_scenes.weather import Weather

COLD = 0.07  # how much of its thermal contrast a thing keeps that has taken the temperature around it
MAX_OVERLAP = 0.45  # of the smaller of two boxes
EXTENT = {'person': (0.5, 0.3, 1.8), 'car': (4.4, 1.8, 1.5), 'bicycle': (1.75, 0.5, 1.1)}  # metres
FRAME_COLOURS = [(40, 40, 200), (200, 110, 30), (40, 160, 60), (210, 210, 210), (30, 30, 30), (30, 180, 220)]


@dataclass(frozen=True)
class Actor:
    """One person, car or bicycle."""

    kind: str
    x: float  # metres to the right of the camera
    z: float  # metres ahead
    heading: float  # radians, 0 away from the camera
    thermal: float  # 1 with its own temperature, near 0 with that of what is behind
    draw: Callable[[Canvas], Painter]

    def footprint(self) -> np.ndarray:
        """Return the corners on the ground, (4, 3) metres."""
        long, wide, _ = EXTENT[self.kind]
        corners = [(-long / 2, 0, -wide / 2), (long / 2, 0, -wide / 2)]
        corners += [(long / 2, 0, wide / 2), (-long / 2, 0, wide / 2)]
        return place(corners, self.x, self.z, self.heading)


class Planner:
    """Places actors one by one so that they do not hide each other altogether."""

    def __init__(self, rng: np.random.Generator, camera: Camera, street: Street, weather: Weather) -> None:
        self.rng, self.camera, self.street, self.weather = rng, camera, street, weather
        self.actors: list[Actor] = []
        self.glare: tuple[float, float, float] | None = None
        self._taken: list[np.ndarray] = []
        self._dark = weather.night or weather.condition == 'fog'

    def plan(self) -> list[Actor]:
        """Place 3 to 8 objects."""
        wanted = int(self.rng.integers(4, 9))
        choices = [self._person, self._car, self._bicycle, self._cyclist]
        for _ in range(40):
            if len(self.actors) >= wanted:
                break
            choices[self.rng.choice(4, p=[0.4, 0.31, 0.15, 0.14])]()
        return self.actors

    def _uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def _near(self, low: float, high: float) -> float:
        """Draw a depth; near ones are as frequent in the image as far ones."""
        return 1 / self._uniform(1 / high, 1 / low)

    def _across(self, deviation: float) -> float:
        """Draw a heading across the road."""
        return float(self.rng.choice([-1, 1]) * np.pi / 2 + self.rng.normal(0, deviation))

    def _along(self, deviation: float) -> float:
        """Draw a heading along the road."""
        return float(self.rng.choice([0, np.pi]) + self.rng.normal(0, deviation))

    def _on_pavement(self, gap: float) -> float:
        side = 1 if self.rng.random() < 0.6 else -1
        return self.street.kerb(side) + side * self.rng.uniform(gap, self.street.walk)

    def _free(self, kind: str, x: float, z: float, heading: float) -> bool:
        """Reserve the place of an object unless it is taken or out of the image."""
        long, wide, tall = EXTENT[kind]
        half = (abs(np.sin(heading)) * long + abs(np.cos(heading)) * wide) / 2
        box = self.camera.project(np.array([(x - half, tall, z), (x + half, 0, z)])).ravel()
        height, width = self.camera.shape
        if _overlap(box, np.array([0, 0, width, height])) < 0.5 * _overlap(box, box):
            return False
        for other in self._taken:
            if _overlap(box, other) > MAX_OVERLAP * min(_overlap(box, box), _overlap(other, other)):
                return False
        self._taken.append(box)
        return True

    def _thermal(self, cold_share: float, x: float, z: float) -> float:
        """Draw whether a thing has the temperature of its surroundings."""
        if self.weather.crossover:
            return COLD
        if self.weather.night:
            # In the dark what is cold would be seen by neither camera.
            lit = any(
                lamp.brightness(x - lamp.position[0], 0.9 - lamp.position[1], z - lamp.position[2]) > 0.3
                for lamp in self.street.lamps
            )
            return COLD if lit and self.rng.random() < 0.75 else 1.0
        return COLD if self.rng.random() < cold_share and self.weather.condition == 'day' else 1.0

    def _person(self) -> None:
        if self.rng.random() < 0.45:
            z = self._near(7, 24)
            x = self._uniform(max(self.street.left, -0.45 * z), min(self.street.right, 0.45 * z))
            heading = self._across(0.25)
        else:
            z = self._near(9, 26)
            x, heading = self._on_pavement(0.4), self._along(0.4)
        if self._free('person', x, z, heading):
            look = random_look(self.rng)
            self._add_person(x, z, z, heading, look, walking_joints(look))

    def _add_person(
        self, x: float, z: float, order: float, heading: float, look: object, joints: dict
    ) -> None:
        def draw(canvas: Canvas) -> Painter:
            return draw_person(Painter(canvas, x, z, heading), look, joints, self.weather.ambient)

        thermal = COLD if self.weather.crossover else 1.0
        self.actors.append(Actor('person', x, order, heading, thermal, draw))

    def _car(self) -> None:
        rng, street, weather = self.rng, self.street, self.weather
        slot = str(rng.choice(['parked', 'ahead', 'oncoming', 'crossing'], p=[0.45, 0.15, 0.2, 0.2]))
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
            x, heading = self._uniform(-0.42, 0.42) * z, self._across(0.2)
            x = float(np.clip(x, street.left - 1, street.right + 1))
        if not self._free('car', x, z, heading):
            return
        driving = slot != 'parked'
        thermal = self._thermal(0.0 if driving else 0.85, x, z)
        if driving and not weather.crossover:
            thermal = 1.0
        lights = driving and self._dark and bool(rng.random() < 0.4)
        if weather.condition == 'glare' and slot == 'oncoming' and weather.night and not self.glare:
            lights = True
            spot = self.camera.project(np.array([(x, 0.8, z)]))[0]
            self.glare = (*(spot / self.camera.shape[::-1]), 1.0)
        if lights and np.cos(heading) < -0.7:
            street.lamps.append(Lamp((x, 0.3, z - 4.5), 0.25, 2.0, (1.0, 1.0, 1.0)))
        shape = list(PROFILES)[int(rng.choice(len(PROFILES), p=[0.35, 0.3, 0.22, 0.13]))]
        paint = PAINTS[rng.integers(len(PAINTS))]
        look = shape, paint, weather.ambient, driving or thermal == 1.0, lights

        def draw(canvas: Canvas) -> Painter:
            return Car(Painter(canvas, x, z, heading), *look).draw()

        self.actors.append(Actor('car', x, z, heading, thermal, draw))

    def _bicycle(self) -> None:
        z = self._near(7.5, 17)
        x = self._on_pavement(0.3)
        if self.rng.random() < 0.35:
            x = self._uniform(-0.4, 0.4) * z
        heading = self._across(0.3)
        if self._free('bicycle', x, z, heading):
            self._add_bicycle(x, z, heading, self._thermal(0.75, x, z), 3.0, light=False)

    def _add_bicycle(
        self, x: float, z: float, heading: float, thermal: float, warm: float, light: bool
    ) -> None:
        colour = FRAME_COLOURS[self.rng.integers(len(FRAME_COLOURS))]
        celsius = self.weather.road + warm + (5 if thermal == 1.0 else 0)

        def draw(canvas: Canvas) -> Painter:
            return draw_bicycle(Painter(canvas, x, z, heading), colour, celsius, light)

        self.actors.append(Actor('bicycle', x, z, heading, thermal, draw))

    def _cyclist(self) -> None:
        rng, street = self.rng, self.street
        z = self._near(8, 20)
        if rng.random() < 0.5:
            x, heading = self._uniform(-0.4, 0.4) * z, self._across(0.25)
        else:
            x = float(rng.choice([street.right - 0.8, street.left + 0.8]))
            heading = self._along(0.35)
        if not self._free('bicycle', x, z, heading) or not -0.5 * z < x < 0.5 * z:
            return
        thermal = COLD if self.weather.crossover else 1.0
        self._add_bicycle(x, z, heading, thermal, 4.0, light=self._dark and bool(rng.random() < 0.3))
        look, joints = random_look(rng), riding_joints(self._uniform(0, 2 * np.pi))
        self._add_person(x, z, z - 0.01, heading, look, joints)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the common area of two boxes (x1, y1, x2, y2); of a box with itself, its area."""
    size = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return float(np.prod(np.maximum(size, 0)))
