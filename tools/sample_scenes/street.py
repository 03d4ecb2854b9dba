"""The street: sky, ground, houses, hills and the shadows on it."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from sample_scenes.canvas import CODES_PER_DEGREE, COLDEST, Canvas, Painter, shade, temperature_code
from sample_scenes.weather import Weather

FAR = 180.0
STOREY = 3.1  # metres
WALLS = [
    (120, 150, 185), (150, 160, 170), (95, 110, 160), (165, 185, 200), (125, 130, 135),
    (100, 125, 150), (140, 170, 195), (105, 105, 110),
]  # fmt: skip


@dataclass(frozen=True)
class Lamp:
    """A light in the scene."""

    position: tuple[float, float, float]  # X, Y, Z in metres
    power: float  # brightness on a surface right beside it
    reach: float  # metres at which the brightness has halved
    colour: tuple[float, float, float]  # BGR factors

    def brightness(self, sideways: object, rise: object, ahead: object) -> object:
        """Return what it adds to surfaces so many metres away; numbers or arrays."""
        away = sideways**2 + ahead**2
        away = away + 0.18 * rise**2  # lamps shine mostly downwards, so height counts less
        away = away / self.reach**2
        return self.power / (1 + away * np.sqrt(away))


@dataclass
class Street:
    """The measures of a street, in metres from the camera's axis."""

    left: float  # kerb
    right: float  # kerb
    centre: float  # line between the lanes
    walk: float  # width of the pavements
    crossing: float | None  # depth of a zebra crossing
    lamps: list[Lamp] = field(default_factory=list)  # filled while drawing

    def kerb(self, side: int) -> float:
        """Return the kerb to the left (-1) or right (1)."""
        return self.right if side > 0 else self.left


def draw_street(rng: np.random.Generator) -> Street:
    """Draw the measures of a street."""
    parking = float(rng.choice([0.0, 2.2]))
    return Street(
        left=float(-rng.uniform(4.8, 5.4) - 2.2),
        right=float(rng.uniform(1.9, 2.4) + parking),
        centre=float(rng.uniform(-1.8, -1.5)),
        walk=float(rng.uniform(2.6, 3.6)),
        crossing=float(rng.uniform(9, 15)) if rng.random() < 0.4 else None,
    )


def paint_ground(canvas: Canvas, street: Street, weather: Weather, rng: np.random.Generator) -> None:
    """Draw sky, ground, road, kerbs and markings."""
    camera, left, right, road = canvas.camera, street.left, street.right, weather.road
    horizon = int(np.clip(round(camera.horizon), 1, camera.shape[0] - 1))
    _paint_sky(canvas, weather, rng, horizon)
    verge = (60, 95, 85) if rng.random() < 0.5 else (110, 120, 125)
    canvas.surface[horizon:] = (*verge, temperature_code(weather.ambient - 0.5))
    canvas.depth[horizon:] = camera.ground_depth()[horizon:, None]
    grey = float(rng.uniform(82, 118))
    pavement = tuple(np.array((150, 155, 160)) * rng.uniform(0.9, 1.15))

    def quad(x0: float, x1: float, colour: tuple, celsius: float, z0: float = 1, z1: float = FAR) -> None:
        corners = camera.project(np.array([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)]))
        fixed = np.round(np.clip(corners, -60000, 60000) * 8).astype(np.int32)
        cv2.fillPoly(canvas.surface, [fixed], (*shade(colour, 1), temperature_code(celsius)), shift=3)

    quad(left - street.walk, left, pavement, road - 1)
    quad(right, right + street.walk, pavement, road - 1)
    for z in np.arange(4, 40, 2.0):
        for low in (left - street.walk, right):
            quad(low, low + street.walk, shade(pavement, 0.82), road - 1.6, z, z + 0.06)
    quad(left, right, (grey + 3, grey, grey), road)
    for offset in (-0.85, 0.85):  # worn wheel tracks are smoother and warmer
        lane = street.centre / 2 + 0.85
        quad(lane + offset - 0.25, lane + offset + 0.25, (grey + 9, grey + 6, grey + 6), road + 0.5)
    for low in (left - 0.18, right):
        quad(low, low + 0.18, shade(pavement, 1.15), road - 1.8)
    white, paint = (215, 222, 222), road - 1.5
    if rng.random() < 0.5:
        for low in (-0.16, 0.06):
            quad(street.centre + low, street.centre + low + 0.1, (90, 185, 215), paint)
    else:
        for z in np.arange(2 + rng.uniform(0, 4), 90, 6):
            quad(street.centre - 0.08, street.centre + 0.08, white, paint, z, z + 3)
    edge = right - 2.3 if right > 3.5 else right - 0.3
    quad(edge - 0.06, edge + 0.06, white, paint)
    quad(left + 2.3, left + 2.42, white, paint)
    if street.crossing:
        for x in np.arange(left + 0.3, right - 0.4, 1.0):
            quad(x, x + 0.5, white, paint, street.crossing, street.crossing + 3)


def _paint_sky(canvas: Canvas, weather: Weather, rng: np.random.Generator, horizon: int) -> None:
    width, height = canvas.owner.shape[1] // 4, max(horizon // 4, 1)
    rise = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    top = np.array((190, 180, 170) if weather.sun is None else (235, 175, 120), np.float32)
    low = np.array((225, 222, 218) if weather.sun is None else (240, 228, 212), np.float32)
    sky = np.broadcast_to(top + (low - top) * rise, (height, width, 3)).copy()
    clouds = cv2.resize(rng.random((5, 6), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    cloud = np.clip((clouds - 0.5) * 2, 0, 1)[..., None]
    sky += (np.array((246, 246, 246), np.float32) - sky) * cloud * 0.7
    celsius = weather.ambient - 24 + 13 * rise[..., 0] + 6 * cloud[..., 0]
    layers = np.clip(np.dstack([sky, (celsius - COLDEST) * CODES_PER_DEGREE]), 0, 255).astype(np.uint8)
    canvas.surface[:horizon] = cv2.resize(layers, (canvas.owner.shape[1], horizon))
    if weather.night:
        glow = np.linspace(0, 1, horizon, dtype=np.float32)[:, None, None] * np.array((34, 24, 22))
        canvas.light[:horizon] = glow.astype(np.uint8)


def paint_hills(canvas: Canvas, weather: Weather, rng: np.random.Generator) -> None:
    """Close the view."""
    camera, painter = canvas.camera, Painter(canvas)
    width = camera.shape[1]
    ridge = np.stack(
        [np.linspace(0, width, 14), camera.horizon - camera.focal * rng.uniform(0.01, 0.055, 14)], 1
    )
    foot = [(width, camera.horizon + 1), (0, camera.horizon + 1)]
    painter.polygon(np.vstack([ridge, foot]), (110, 115, 95), weather.ambient - 4)
    painter.commit(150.0)


def paint_houses(canvas: Canvas, street: Street, weather: Weather, rng: np.random.Generator) -> None:
    """Draw rows of houses along both pavements, the farthest first."""
    houses = []
    for side in (-1, 1):
        if rng.random() < 0.2:
            continue
        front = side * street.kerb(side) + street.walk + rng.uniform(0.2, 2.5)
        z = float(rng.uniform(4, 14))
        while z < 75:
            long = float(rng.uniform(8, 17))
            houses.append((z, z + long, side * front))
            z += long + float(rng.choice([0.0, 1.5, 5.0]))
    for z0, z1, x in sorted(houses, reverse=True):
        _paint_house(canvas, weather, rng, x, z0, z1)


def _paint_house(
    canvas: Canvas, weather: Weather, rng: np.random.Generator, x: float, z0: float, z1: float
) -> None:
    """Draw a house from depth ``z0`` to ``z1`` whose front stands at ``x``: the gable, then the front."""
    camera, side = canvas.camera, np.sign(x)
    storeys = int(rng.integers(1, 5))
    top, outer = storeys * STOREY + 0.8, x + side * 14
    wall = np.array(WALLS[rng.integers(len(WALLS))]) * rng.uniform(0.8, 1.1)
    heat = weather.wall + rng.uniform(-0.6, 0.9)
    gable, front = Painter(canvas, 0.0, z0), Painter(canvas, x, 0.0)
    gable.upright((x, outer), (0, top), wall * 0.8, heat - 0.7)
    if rng.random() < 0.6:  # a roof warmed by the sun
        ridge = [(0, top, x), (0, top, outer), (0, top + 3, (x + outer) / 2)]
        gable.face(ridge, (60, 75, 120), weather.wall + (4 if weather.sun else -3))
    for storey in range(storeys):
        y0, y1 = storey * STOREY + 1.1, storey * STOREY + 2.5
        for offset in np.arange(1.5, 12, 3.2):
            u0, u1 = x + side * offset, x + side * (offset + 1.2)
            _window(gable, [(0, y0, u0), (0, y0, u1), (0, y1, u1), (0, y1, u0)], weather, rng, heat)
    gable.commit(z0)

    def pane(a0: float, a1: float, y0: float, y1: float) -> list[tuple]:
        return [(a0, y0, 0), (a1, y0, 0), (a1, y1, 0), (a0, y1, 0)]

    front.face(pane(z0, z1, 0, top), wall, heat)
    front.face(pane(z0, z1, 0, 0.5), wall * 0.7, heat + 0.4)
    front.face(pane(z0, z1, top - 0.3, top), wall * 0.65, heat + 2)
    door = int(rng.integers(0, 3))
    for column, z in enumerate(np.arange(z0 + 0.8, z1 - 1.6, 2.8)):
        for storey in range(storeys):
            y0, y1 = storey * STOREY + 1.0, storey * STOREY + 2.5
            if storey == 0 and column % 3 == door:
                y0, y1 = 0.1, 2.3
            _window(front, pane(z, z + 1.4, y0, y1), weather, rng, heat)

    def depth(columns: np.ndarray) -> np.ndarray:
        slope = (columns - camera.centre) / camera.focal
        return np.clip(x / np.where(np.abs(slope) < 1e-3, 1e-3, slope), z0, z1)

    front.commit(depth)


def _window(painter: Painter, corners: list, weather: Weather, rng: np.random.Generator, wall: float) -> None:
    """Draw a window: lit or dark; the panes mirror the cold sky or let the heating through."""
    pane = painter.pixels(corners)
    if np.ptp(pane[:, 0]) < 3 or pane[:, 0].max() < 0 or pane[:, 0].min() > painter.camera.shape[1]:
        return
    glow = None
    if weather.night and rng.random() < 0.22:
        glow = shade((70, 135, 190), rng.uniform(0.5, 1.0))
    heat = wall + (rng.uniform(3, 9) if rng.random() < 0.12 else rng.uniform(-2.2, -0.6))
    painter.polygon(pane, shade((190, 195, 200), 0.8), wall + 0.8)
    centre = pane.mean(0)
    painter.polygon(centre + (pane - centre) * 0.82, (95, 80, 70), heat, glow)


def cast_shadows(canvas: Canvas, boxes: list[tuple], weather: Weather) -> np.ndarray:
    """Return how bright the ground is under shadows, (H, W) uint8, 255 unshaded.

    With sun the shadows are cast, without they only lie underneath.

    Args:
        canvas: Gives camera and size.
        boxes: Corners of a footprint (N, 3) in metres, and the height of the thing on it.
        weather: The conditions.
    """
    brightness = np.full(canvas.owner.shape, 255, np.uint8)
    for footprint, tall in boxes:
        points = np.array(footprint, float)
        if weather.sun is not None:
            shifted = points + np.array([weather.sun[0], 0, weather.sun[1]]) * tall
            shifted[:, 2] = np.maximum(shifted[:, 2], 2.0)
            points = np.vstack([points, shifted])
        hull = cv2.convexHull(canvas.camera.project(points).astype(np.float32)).astype(np.float64)
        level = 150 if weather.sun is None else 125
        cv2.fillPoly(brightness, [np.round(hull * 8).astype(np.int32)], level, shift=3)
    return brightness
