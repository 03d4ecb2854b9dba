"""One scene: draw the street, put the objects in, render both images, measure what is seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sample_scenes import optics, street
from sample_scenes.canvas import Camera, Canvas
from sample_scenes.layout import Actor, Planner
from sample_scenes.scenery import Scenery
from sample_scenes.visibility import seen_in, tight_box
from sample_scenes.weather import CONDITIONS, Weather, condition_of, draw_weather

SUPERSAMPLING = 2  # drawn this much larger than delivered
MIN_VISIBLE_SHARE = 0.3  # of an object's silhouette; what shows less is not annotated
MIN_SIDE = 4  # pixels; shorter boxes are not annotated
COVERED = 0.3  # share of a pixel that belongs to an object from which on it is in its mask
CATEGORIES = ('person', 'car', 'bicycle')
SHADOWS = {'car': 1.4, 'person': 1.7, 'bicycle': 0.9}  # metres of height
SPLITS = ('train', 'test')


@dataclass(frozen=True)
class SceneObject:
    """One annotated object."""

    category: str  # one of CATEGORIES
    bbox: tuple[int, int, int, int]  # x, y, width, height in pixels; tight around the mask
    mask: np.ndarray  # (H, W) bool; the part that is not hidden
    visible_in: str  # 'both', 'visible' or 'infrared'
    visibility: float  # share of the silhouette that is neither hidden nor outside the image
    distance: float  # metres ahead of the camera
    warm: bool  # whether it has a temperature of its own, not that of its surroundings


@dataclass(frozen=True)
class Scene:
    """An aligned pair of images and what is in it."""

    visible: np.ndarray  # (H, W, 3) uint8, BGR
    infrared: np.ndarray  # (H, W) uint8, white hot
    objects: list[SceneObject]
    time: str  # 'day' or 'night'
    condition: str  # one of weather.CONDITIONS
    unseen: int  # number of objects that were left out because neither camera shows them
    weather: Weather
    street: street.Street


def render_scene(
    seed: int, split: str, index: int, size: tuple[int, int] = (320, 256), condition: str | None = None
) -> Scene:
    """Draw one scene; the same arguments give the same scene.

    Args:
        seed: Seed of the data set, 0 or more.
        split: 'train' or 'test'.
        index: Number of the scene in its split, from 0.
        size: Width and height in pixels.
        condition: Fixes the condition; None draws one.
    """
    if split not in SPLITS:
        raise ValueError(f"split has to be 'train' or 'test', got {split!r}")
    if condition is not None and condition not in CONDITIONS:
        raise ValueError(f'condition has to be one of {CONDITIONS}, got {condition!r}')
    number = SPLITS.index(split)
    rng = np.random.default_rng([seed, number, index])
    return _compose(rng, size, condition or condition_of(seed, number, index))


def _compose(rng: np.random.Generator, size: tuple[int, int], condition: str) -> Scene:
    width, height = size
    weather = draw_weather(rng, condition)
    camera = Camera(
        focal=1.2 * height * SUPERSAMPLING,
        centre=width * SUPERSAMPLING * float(rng.uniform(0.4, 0.6)),
        horizon=height * SUPERSAMPLING * float(rng.uniform(0.4, 0.5)),
        height=float(rng.uniform(1.5, 2.2)),
        shape=(height * SUPERSAMPLING, width * SUPERSAMPLING),
    )
    canvas, road = Canvas(camera), street.draw_street(rng)
    street.paint_ground(canvas, road, weather, rng)
    street.paint_hills(canvas, weather, rng)
    scenery = Scenery(canvas, weather, rng)
    for z in (95, 80, 68, 58, 50):
        scenery.tree(float(rng.choice([-1, 1]) * rng.uniform(9, 30)), z, rng.uniform(6, 11))
    street.paint_houses(canvas, road, weather, rng)
    canvas.freeze()
    things = scenery.arrange(road)
    if weather.night and rng.random() < 0.5:  # the camera car's own dipped beam
        road.lamps.append(street.Lamp((0.5, 0.2, 6.0), 0.4, 3.0, (0.9, 1.0, 1.05)))
    planner = Planner(rng, camera, road, weather)
    actors = planner.plan()
    areas = {}
    # Things come before actors of the same depth, the farthest first.
    for item in sorted([*things, *actors], key=lambda item: -item.z):
        if isinstance(item, Actor):
            number = actors.index(item) + 1
            areas[number] = item.draw(canvas).commit(item.z, number, thermal=item.thermal)
        else:
            item.draw()
    boxes = [(actor.footprint(), SHADOWS[actor.kind]) for actor in actors]
    boxes += [(thing.footprint, thing.tall) for thing in things if thing.footprint]
    shadows = street.cast_shadows(canvas, boxes, weather)
    glare = planner.glare
    if weather.condition == 'glare' and glare is None:
        glare = _sun(rng, camera, actors)
    visible = optics.visible_image(canvas, shadows, road.lamps, glare, weather, size, rng)
    infrared = optics.infrared_image(canvas, weather, size, rng)
    objects, unseen = _annotate(canvas, actors, areas, visible, infrared)
    time = 'night' if weather.night else 'day'
    return Scene(visible, infrared, objects, time, weather.condition, unseen, weather, road)


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
    canvas: Canvas, actors: list[Actor], areas: dict[int, int], visible: np.ndarray, infrared: np.ndarray
) -> tuple[list[SceneObject], int]:
    """Return what is to be seen of the actors, and how many neither camera shows."""
    size = infrared.shape[::-1]
    standing = optics.shrink(np.where(canvas.is_ground(), np.float32(1e3), canvas.depth), size)
    objects, unseen = [], 0
    for number, actor in enumerate(actors, 1):
        own = cv2.compare(canvas.owner, number, cv2.CMP_EQ)
        share = cv2.countNonZero(own) / max(areas[number], 1)
        mask = optics.shrink(own, size) >= COVERED * 255
        if share < MIN_VISIBLE_SHARE or not mask.any():
            continue
        box = tight_box(mask)
        if min(box[2:]) < MIN_SIDE:
            continue
        modality = seen_in(visible, infrared, mask, ~mask & (standing < actor.z - 1e-3))
        if modality is None:
            unseen += 1
            continue
        share, warm = round(min(share, 1.0), 3), actor.thermal == 1.0
        objects.append(SceneObject(actor.kind, box, mask, modality, share, actor.z, warm))
    return objects, unseen
