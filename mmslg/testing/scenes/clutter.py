"""Things that look like an object in one modality only."""

from __future__ import annotations

import numpy as np

from mmslg.testing.scenes.camera import place
from mmslg.testing.scenes.canvas import Canvas, Painter
from mmslg.testing.scenes.people import draw_person, random_person, walking_joints
from mmslg.testing.scenes.weather import Weather

HIDDEN = 0.06  # how much of the contrast is left in the modality that does not show the thing


def paint_warm_post(canvas: Canvas, weather: Weather, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw a warm pipe or boiler as tall as a person that the visible image hardly shows."""
    painter, camera = Painter(canvas), canvas.camera
    metre, tall = camera.scale(z), rng.uniform(1.2, 1.8)
    ends = camera.project(np.array([(x, 0.15, z), (x, tall - 0.2, z)]))
    heat = max(weather.ambient + rng.uniform(9, 16), 26)
    painter.line(ends, rng.uniform(0.32, 0.45) * metre, (120, 120, 120), heat)
    painter.disc(ends[1], 0.24 * metre, (120, 120, 120), heat + 3)
    painter.commit(z, visible=HIDDEN)


def paint_warm_box(canvas: Canvas, weather: Weather, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw a warm cabinet or vent, as wide as a car's rear, that the visible image hardly shows."""
    painter, camera = Painter(canvas), canvas.camera
    wide, tall = rng.uniform(0.7, 1.7), rng.uniform(0.8, 1.4)
    heat = weather.ambient + rng.uniform(6, 14)
    box = [(x - wide / 2, 0, z), (x + wide / 2, 0, z), (x + wide / 2, tall, z), (x - wide / 2, tall, z)]
    painter.polygon(camera.project(np.array(box)), (130, 130, 130), heat)
    for level in np.arange(0.25, tall - 0.1, 0.25):
        slot = camera.project(np.array([(x - wide * 0.35, level, z), (x + wide * 0.35, level, z)]))
        painter.line(slot, 0.05 * camera.scale(z), (130, 130, 130), heat + 5)
    painter.commit(z, visible=HIDDEN)


def paint_heat_ghost(canvas: Canvas, weather: Weather, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw the warmth that a car leaves on the ground where it stood."""
    painter = Painter(canvas)
    for half, long, warm in ((0.9, 2.1, 4.0), (0.7, 1.7, 6.0)):
        quad = [(-long, 0, -half), (long, 0, -half), (long, 0, half), (-long, 0, half)]
        pixels = canvas.camera.project(place(np.array(quad), x, z, 0.0))
        painter.polygon(pixels, (100, 100, 100), weather.road + warm)
    painter.commit(None, visible=HIDDEN)


def paint_mannequin(canvas: Canvas, weather: Weather, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw a cardboard person: clear in the visible image, at the temperature of its surroundings."""
    painter = Painter(canvas)
    look = random_person(rng, weather.ambient)
    draw_person(painter, look, walking_joints(look), x, z, float(rng.uniform(0, 2 * np.pi)))
    painter.commit(z, thermal=HIDDEN)


def paint_shrub(canvas: Canvas, weather: Weather, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw a dark shrub as tall as a person."""
    painter, camera = Painter(canvas), canvas.camera
    metre = camera.scale(z)
    wide = rng.uniform(0.25, 0.6)
    for level in np.linspace(0.15, rng.uniform(1.0, 1.5), 7):
        for side in (-0.5, 0.0, 0.5):
            spot = camera.project(np.array([(x + side * wide + rng.uniform(-0.1, 0.1), level, z)]))[0]
            painter.disc(spot, rng.uniform(0.16, 0.26) * metre, (32, 62, 42), weather.ambient)
    painter.commit(z, thermal=HIDDEN)


def paint_poster(canvas: Canvas, weather: Weather, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw a hoarding with the picture of a person on it."""
    painter, camera = Painter(canvas), canvas.camera
    board = [(x - 0.8, 0.4, z), (x + 0.8, 0.4, z), (x + 0.8, 2.7, z), (x - 0.8, 2.7, z)]
    painter.polygon(camera.project(np.array(board)), (70, 70, 70), weather.ambient)
    paper = tuple(float(c) for c in rng.uniform(120, 230, 3))
    inner = [(x - 0.72, 0.48, z), (x + 0.72, 0.48, z), (x + 0.72, 2.62, z), (x - 0.72, 2.62, z)]
    painter.polygon(camera.project(np.array(inner)), paper, weather.ambient)
    look = random_person(rng, weather.ambient)
    joints = {name: (a, y * 0.95 + 0.65, w) for name, (a, y, w) in walking_joints(look).items()}
    draw_person(painter, look, joints, x, z, np.pi if rng.random() < 0.5 else 1.8)
    painter.commit(z, thermal=HIDDEN)
