"""One scene: draw the street, put the objects in, render both images, measure what is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from mmslg.testing.scenes import clutter, optics
from mmslg.testing.scenes import street as streets
from mmslg.testing.scenes.camera import Camera
from mmslg.testing.scenes.canvas import Canvas, Painter
from mmslg.testing.scenes.layout import Actor, Planner
from mmslg.testing.scenes.visibility import seen_in
from mmslg.testing.scenes.weather import Weather, draw_weather

SUPERSAMPLING = 2  # drawn this much larger than delivered
MIN_VISIBLE_SHARE = 0.3  # of an object's silhouette; what shows less is not annotated
MIN_SIDE = 4  # pixels; shorter boxes are not annotated
COVERED = 0.3  # share of a pixel that belongs to an object from which on it is in its mask
CATEGORIES = ('person', 'car', 'bicycle')


@dataclass(frozen=True)
class SceneObject:
    """One annotated object.

    Args:
        category: 'person', 'car' or 'bicycle'.
        bbox: x, y, width, height in pixels; tight around ``mask``.
        mask: (H, W) bool; the part that is not hidden.
        visible_in: 'both', 'visible' or 'infrared'.
        visibility: Share of the silhouette that is neither hidden nor outside the image.
    """

    category: str
    bbox: tuple[int, int, int, int]
    mask: np.ndarray
    visible_in: str
    visibility: float


@dataclass(frozen=True)
class Scene:
    """An aligned pair of images and what is in it.

    Args:
        visible: (H, W, 3) uint8, BGR.
        infrared: (H, W) uint8, white hot.
        objects: The annotated objects.
        time: 'day' or 'night'.
        condition: 'day', 'night', 'fog', 'glare' or 'crossover'.
        unseen: How many objects were left out because neither camera shows them.
    """

    visible: np.ndarray
    infrared: np.ndarray
    objects: list[SceneObject]
    time: str
    condition: str
    unseen: int


def compose(
    rng: np.random.Generator, size: tuple[int, int], condition: str, only: str | None = None
) -> Scene:
    """Draw one scene.

    Args:
        rng: All that is random.
        size: Width and height in pixels.
        condition: One of ``weather.CONDITIONS``.
        only: Draws a single object of this category and no clutter in front of it.

    Returns:
        The scene.
    """
    width, height = size
    weather = draw_weather(rng, condition)
    camera = Camera(
        focal=1.2 * height * SUPERSAMPLING,
        centre=width * SUPERSAMPLING * float(rng.uniform(0.4, 0.6)),
        horizon=height * SUPERSAMPLING * float(rng.uniform(0.4, 0.5)),
        height=float(rng.uniform(1.5, 2.2)),
        shape=(height * SUPERSAMPLING, width * SUPERSAMPLING),
    )
    canvas, street = Canvas(camera), streets.draw_street(rng, weather)
    streets.paint_ground(canvas, street, weather, rng)
    _paint_far(canvas, weather, rng)
    _paint_buildings(canvas, street, weather, rng)
    canvas.freeze()
    scenery = [] if only else _scenery(canvas, street, weather, rng)
    if weather.night:
        _place_lights(street, rng)
    planner = Planner(rng, camera, street, weather)
    actors = planner.plan(only)
    boxes = [(actor.footprint(), {'car': 1.4, 'person': 1.7, 'bicycle': 0.9}[actor.kind]) for actor in actors]
    boxes += [(spot, tall) for _, _, spot, tall in scenery if spot is not None]
    parts: list[tuple[Actor, int, int]] = []

    def show(actor: Actor, number: int) -> Callable[[], None]:
        def draw() -> None:
            painter = Painter(canvas)
            actor.draw(painter)
            parts.append((actor, number, painter.commit(actor.z, number, thermal=actor.thermal).area))

        return draw

    queue = [(z, draw) for z, draw, _, _ in scenery]
    queue += [(actor.z, show(actor, number)) for number, actor in enumerate(actors, 1)]
    for _, draw in sorted(queue, key=lambda item: -item[0]):
        draw()
    shade = streets.paint_shadows(canvas, boxes, weather)
    glare = planner.glare
    if weather.condition == 'glare' and glare is None:
        glare = _sun(rng, camera, actors)
    visible = optics.visible_image(canvas, shade, street.lamps, glare, weather, size, rng)
    infrared = optics.infrared_image(canvas, weather, size, rng)
    objects, unseen = _annotate(canvas, parts, visible, infrared)
    return Scene(visible, infrared, objects, 'night' if weather.night else 'day', weather.condition, unseen)


def _paint_far(canvas: Canvas, weather: Weather, rng: np.random.Generator) -> None:
    """Close the view with hills and far trees."""
    camera = canvas.camera
    painter = Painter(canvas)
    width = camera.shape[1]
    columns = np.linspace(0, width, 14)
    rise = camera.focal * rng.uniform(0.01, 0.055, 14)
    ridge = np.stack([columns, camera.horizon - rise], 1)
    outline = np.vstack([ridge, [(width, camera.horizon + 1), (0, camera.horizon + 1)]])
    painter.polygon(outline, (110, 115, 95), weather.ambient - 4)
    painter.commit(150.0)
    for z in (95, 80, 68, 58, 50):
        streets.paint_tree(
            canvas, weather, rng, float(rng.choice([-1, 1]) * rng.uniform(9, 30)), z, rng.uniform(6, 11)
        )


def _paint_buildings(
    canvas: Canvas, street: streets.Street, weather: Weather, rng: np.random.Generator
) -> None:
    houses = []
    for side in (-1, 1):
        if rng.random() < 0.2:
            continue
        front = (street.right if side > 0 else -street.left) + street.walk + rng.uniform(0.2, 2.5)
        z = float(rng.uniform(4, 14))
        while z < 75:
            long = float(rng.uniform(8, 17))
            houses.append((z, z + long, side * front))
            z += long + float(rng.choice([0.0, 1.5, 5.0]))
    for z0, z1, x in sorted(houses, reverse=True):
        streets.paint_building(canvas, weather, rng, x, z0, z1)


def _scenery(
    canvas: Canvas, street: streets.Street, weather: Weather, rng: np.random.Generator
) -> list[tuple]:
    """Return trees, lamps, poles and clutter: depth, how to draw it, footprint, height of the shadow."""
    items = []

    def add(z: float, draw: Callable[[], None], x: float, half: float, tall: float) -> None:
        spot = [
            (x - half, 0, z - half),
            (x + half, 0, z - half),
            (x + half, 0, z + half),
            (x - half, 0, z + half),
        ]
        items.append((z, draw, spot if half else None, tall))

    for side in (-1, 1):
        kerb = street.right if side > 0 else street.left
        lamp_z = float(rng.uniform(9, 15))
        for z in (lamp_z, lamp_z + 16):
            working = bool(rng.random() < 0.5)
            x = kerb + side * 0.35
            # Painting it also switches it on, which placing the objects has to know beforehand.
            if weather.night and working:
                street.lamps.append(streets.lamp_light(x, z))
            add(z, lambda x=x, z=z, on=working: streets.paint_lamp(canvas, weather, x, z, on), x, 0.08, 6)
        for _ in range(int(rng.integers(0, 4))):
            x, z = kerb + side * (street.walk - 0.4), float(rng.uniform(13, 45))
            tall = float(rng.uniform(4.5, 7.5))
            add(
                z,
                lambda x=x, z=z, t=tall: streets.paint_tree(canvas, weather, rng, x, z, t),
                x,
                0.5,
                tall * 0.6,
            )
        if rng.random() < 0.5:
            x, z, sign = kerb + side * 0.5, float(rng.uniform(9, 30)), bool(rng.random() < 0.6)
            add(z, lambda x=x, z=z, s=sign: streets.paint_pole(canvas, weather, x, z, s), x, 0.08, 3)
    for draw, flat in _clutter(weather, rng):
        side = 1 if rng.random() < 0.6 else -1
        kerb = street.right if side > 0 else street.left
        x, z = kerb + side * rng.uniform(0.5, street.walk), float(1 / rng.uniform(1 / 24, 1 / 9))
        if flat:
            x, z = kerb - side * 1.1, z + 200
        place = z - 200 if flat else z  # flat things are drawn before all that stands
        add(z, lambda d=draw, x=x, z=place: d(canvas, weather, rng, x, z), x, 0.0, 0.0)
    return items


def _clutter(weather: Weather, rng: np.random.Generator) -> list[tuple]:
    """Draw which things of one modality stand in the scene."""
    chosen = []
    if not weather.crossover:
        chosen += [(clutter.paint_warm_post, False)] * int(rng.integers(0, 3))
        chosen += [(clutter.paint_warm_box, False)] * int(rng.integers(0, 2))
        chosen += [(clutter.paint_heat_ghost, True)] * int(rng.random() < 0.25)
        chosen += [(clutter.paint_mannequin, False)] * int(rng.integers(0, 3))
        chosen += [(clutter.paint_poster, False)] * int(rng.random() < 0.3)
    chosen += [(clutter.paint_shrub, False)] * int(rng.integers(0, 3))
    return chosen


def _place_lights(street: streets.Street, rng: np.random.Generator) -> None:
    """Add the camera car's own dipped beam."""
    if rng.random() < 0.5:
        street.lamps.append(streets.Lamp((0.5, 0.2, 6.0), 0.4, 3.0, (0.9, 1.0, 1.05)))


def _sun(rng: np.random.Generator, camera: Camera, actors: list[Actor]) -> tuple[float, float, float]:
    """Put a low sun above the horizon, often in line with an object."""
    column = float(rng.uniform(0.2, 0.8))
    if actors and rng.random() < 0.8:
        actor = actors[int(rng.integers(len(actors)))]
        spot = camera.project(np.array([(actor.x, 1.0, actor.z)]))[0]
        column = float(np.clip(spot[0] / camera.shape[1], 0.08, 0.92))
    row = camera.horizon / camera.shape[0] - float(rng.uniform(-0.02, 0.1))
    return column, row, float(rng.uniform(0.85, 1.15))


def _annotate(
    canvas: Canvas, parts: list[tuple[Actor, int, int]], visible: np.ndarray, infrared: np.ndarray
) -> tuple[list[SceneObject], int]:
    size = infrared.shape[::-1]
    flat = np.abs(canvas.depth - canvas.camera.ground_depth()[:, None]) < 0.02
    standing = optics.shrink(np.where(flat & (canvas.owner == 0), np.float32(1e3), canvas.depth), size)
    objects, unseen = [], 0
    for actor, number, area in sorted(parts, key=lambda part: part[1]):
        own = cv2.compare(canvas.owner, number, cv2.CMP_EQ)
        share = cv2.countNonZero(own) / max(area, 1)
        if share < MIN_VISIBLE_SHARE:
            continue
        mask = optics.shrink(own, size) >= COVERED * 255
        if not mask.any():
            continue
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = (int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
        if min(box[2:]) < MIN_SIDE:
            continue
        modality = seen_in(visible, infrared, mask, ~mask & (standing < actor.z - 1e-3))
        if modality is None:
            unseen += 1
            continue
        objects.append(SceneObject(actor.kind, box, mask, modality, round(min(share, 1.0), 3)))
    return objects, unseen
