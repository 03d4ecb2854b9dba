"""The street: ground, sky, buildings, trees, lamps and poles."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from mmslg.testing.scenes.canvas import CODES_PER_DEGREE, COLDEST, Canvas, Painter, temperature_code
from mmslg.testing.scenes.weather import Weather

FAR = 180.0
HEIGHT_WEIGHT = 0.18  # lamps shine mostly downwards, so height above counts less than distance
ARM = 1.6  # metres from the mast of a street lamp to its head
WALLS = [
    (120, 150, 185), (150, 160, 170), (95, 110, 160), (165, 185, 200), (125, 130, 135),
    (100, 125, 150), (140, 170, 195), (105, 105, 110),
]  # fmt: skip


@dataclass(frozen=True)
class Lamp:
    """A light in the scene.

    Args:
        position: X, Y, Z in metres.
        power: Brightness on a surface right beside it.
        reach: Metres at which the brightness has halved.
        colour: BGR factors.
    """

    position: tuple[float, float, float]
    power: float
    reach: float
    colour: tuple[float, float, float]


@dataclass
class Street:
    """The measures of a street, in metres from the camera's axis.

    Args:
        left: Left kerb.
        right: Right kerb.
        centre: Line between the lanes.
        walk: Width of the pavements.
        crossing: Depth of a zebra crossing, or None.
        lamps: The lights; filled while drawing.
    """

    left: float
    right: float
    centre: float
    walk: float
    crossing: float | None
    lamps: list[Lamp] = field(default_factory=list)


def draw_street(rng: np.random.Generator, weather: Weather) -> Street:
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
    camera = canvas.camera
    height, _ = camera.shape
    horizon = int(np.clip(round(camera.horizon), 1, height - 1))
    _paint_sky(canvas, weather, rng, horizon)
    verge = (60, 95, 85) if rng.random() < 0.5 else (110, 120, 125)
    canvas.surface[horizon:] = (*verge, temperature_code(weather.ambient - 0.5))
    canvas.depth[horizon:] = camera.ground_depth()[horizon:, None]
    grey = float(rng.uniform(82, 118))

    def quad(x0: float, x1: float, z0: float, z1: float, colour: tuple, celsius: float) -> None:
        corners = camera.project(np.array([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)]))
        fixed = np.round(np.clip(corners, -60000, 60000) * 8).astype(np.int32)
        cv2.fillPoly(canvas.surface, [fixed], (*colour, temperature_code(celsius)), shift=3)

    pavement = tuple(float(c) for c in np.array((150, 155, 160)) * rng.uniform(0.9, 1.15))
    left, right, road = street.left, street.right, weather.road
    quad(left - street.walk, left, 1, FAR, pavement, road - 1)
    quad(right, right + street.walk, 1, FAR, pavement, road - 1)
    for z in np.arange(4, 40, 2.0):
        for low in (left - street.walk, right):
            quad(low, low + street.walk, z, z + 0.06, tuple(0.82 * c for c in pavement), road - 1.6)
    quad(left, right, 1, FAR, (grey + 3, grey, grey), road)
    for offset in (-0.85, 0.85):  # worn wheel tracks are smoother and warmer
        lane = street.centre / 2 + 0.85
        quad(lane + offset - 0.25, lane + offset + 0.25, 1, FAR, (grey + 9, grey + 6, grey + 6), road + 0.5)
    kerb = tuple(1.15 * c for c in pavement)
    quad(left - 0.18, left, 1, FAR, kerb, road - 1.8)
    quad(right, right + 0.18, 1, FAR, kerb, road - 1.8)
    white = (215, 222, 222)
    yellow = (90, 185, 215)
    if rng.random() < 0.5:
        quad(street.centre - 0.16, street.centre - 0.06, 1, FAR, yellow, road - 1.5)
        quad(street.centre + 0.06, street.centre + 0.16, 1, FAR, yellow, road - 1.5)
    else:
        for z in np.arange(2 + rng.uniform(0, 4), 90, 6):
            quad(street.centre - 0.08, street.centre + 0.08, z, z + 3, white, road - 1.5)
    edge = street.right - 2.3 if street.right > 3.5 else street.right - 0.3
    quad(edge - 0.06, edge + 0.06, 1, FAR, white, road - 1.5)
    quad(left + 2.3, left + 2.42, 1, FAR, white, road - 1.5)
    if street.crossing:
        for x in np.arange(left + 0.3, right - 0.4, 1.0):
            quad(x, x + 0.5, street.crossing, street.crossing + 3, white, road - 1.5)


def _paint_sky(canvas: Canvas, weather: Weather, rng: np.random.Generator, horizon: int) -> None:
    width, full = canvas.owner.shape[1] // 4, horizon
    horizon = max(full // 4, 1)
    rise = np.linspace(0, 1, horizon, dtype=np.float32)[:, None, None]
    overcast = weather.sun is None
    top = np.array((190, 180, 170) if overcast else (235, 175, 120), np.float32)
    low = np.array((225, 222, 218) if overcast else (240, 228, 212), np.float32)
    sky = np.broadcast_to(top + (low - top) * rise, (horizon, width, 3)).copy()
    clouds = cv2.resize(rng.random((5, 6), np.float32), (width, horizon), interpolation=cv2.INTER_CUBIC)
    cloud = np.clip((clouds - 0.5) * 2, 0, 1)[..., None]
    sky += (np.array((246, 246, 246), np.float32) - sky) * cloud * 0.7
    celsius = weather.ambient - 24 + 13 * rise[..., 0] + 6 * cloud[..., 0]
    layers = np.dstack([sky, (celsius - COLDEST) * CODES_PER_DEGREE])
    layers = np.clip(layers, 0, 255).astype(np.uint8)
    canvas.surface[:full] = cv2.resize(layers, (canvas.owner.shape[1], full))
    if weather.night:
        glow = np.linspace(0, 1, full, dtype=np.float32)[:, None, None] * np.array((34, 24, 22))
        canvas.light[:full] = glow.astype(np.uint8)


def paint_building(
    canvas: Canvas, weather: Weather, rng: np.random.Generator, x: float, z0: float, z1: float
) -> None:
    """Draw a house along the street from depth ``z0`` to ``z1`` whose front stands at ``x``."""
    camera = canvas.camera
    storeys = int(rng.integers(1, 5))
    top = storeys * 3.1 + 0.8
    wall = np.array(WALLS[rng.integers(len(WALLS))]) * rng.uniform(0.8, 1.1)
    wall_heat = weather.wall + rng.uniform(-0.6, 0.9)
    outer = x + np.sign(x) * 14

    def wall_point(z: float, y: float) -> tuple:
        return (x, y, z)

    gable = Painter(canvas)
    face = camera.project(np.array([(x, 0, z0), (outer, 0, z0), (outer, top, z0), (x, top, z0)]))
    gable.polygon(face, tuple(wall * 0.8), wall_heat - 0.7)
    if rng.random() < 0.6:  # a roof warmed by the sun
        ridge = camera.project(np.array([(x, top, z0), (outer, top, z0), ((x + outer) / 2, top + 3, z0)]))
        gable.polygon(ridge, (60, 75, 120), weather.wall + (4 if weather.sun else -3))
    for storey in range(storeys):
        for offset in np.arange(1.5, 12, 3.2):
            u0, u1 = x + np.sign(x) * offset, x + np.sign(x) * (offset + 1.2)
            y0, y1 = storey * 3.1 + 1.1, storey * 3.1 + 2.5
            pane = [(u0, y0, z0), (u1, y0, z0), (u1, y1, z0), (u0, y1, z0)]
            _window(gable, camera.project(np.array(pane)), weather, rng, wall_heat)
    gable.commit(z0)

    front = Painter(canvas)
    corners = [wall_point(z0, 0), wall_point(z1, 0), wall_point(z1, top), wall_point(z0, top)]
    front.polygon(camera.project(np.array(corners)), tuple(wall), wall_heat)
    plinth = [wall_point(z0, 0), wall_point(z1, 0), wall_point(z1, 0.5), wall_point(z0, 0.5)]
    front.polygon(camera.project(np.array(plinth)), tuple(wall * 0.7), wall_heat + 0.4)
    eaves = [wall_point(z0, top - 0.3), wall_point(z1, top - 0.3), wall_point(z1, top), wall_point(z0, top)]
    front.polygon(camera.project(np.array(eaves)), tuple(wall * 0.65), wall_heat + 2)
    door = int(rng.integers(0, 3))
    for column, z in enumerate(np.arange(z0 + 0.8, z1 - 1.6, 2.8)):
        for storey in range(storeys):
            y0, y1 = storey * 3.1 + 1.0, storey * 3.1 + 2.5
            if storey == 0 and column % 3 == door:
                y0, y1 = 0.1, 2.3
            pane = [wall_point(z, y0), wall_point(z + 1.4, y0), wall_point(z + 1.4, y1), wall_point(z, y1)]
            _window(front, camera.project(np.array(pane)), weather, rng, wall_heat)

    def depth(columns: np.ndarray) -> np.ndarray:
        side = (columns - camera.centre) / camera.focal
        side = np.where(np.abs(side) < 1e-3, 1e-3, side)
        return np.clip(x / side, z0, z1)

    front.commit(depth)


def _window(
    painter: Painter, pane: np.ndarray, weather: Weather, rng: np.random.Generator, wall_heat: float
) -> None:
    """Draw a window: lit or dark; the panes mirror the cold sky or let the heating through."""
    if np.ptp(pane[:, 0]) < 3 or pane[:, 0].max() < 0 or pane[:, 0].min() > painter.camera.shape[1]:
        return
    colour, glow = (95, 80, 70), None
    lit = weather.night and rng.random() < 0.22
    if lit:
        glow = tuple(float(c) for c in np.array((70, 135, 190)) * rng.uniform(0.5, 1.0))
    heat = wall_heat + (rng.uniform(3, 9) if rng.random() < 0.12 else rng.uniform(-2.2, -0.6))
    painter.polygon(pane, tuple(0.8 * c for c in (190, 195, 200)), wall_heat + 0.8)
    centre = pane.mean(0)
    painter.polygon(centre + (pane - centre) * 0.82, colour, heat, glow)


def paint_tree(
    canvas: Canvas, weather: Weather, rng: np.random.Generator, x: float, z: float, tall: float
) -> None:
    """Draw a tree: a trunk and clusters of leaves."""
    painter, camera = Painter(canvas), canvas.camera
    metre = camera.scale(z)
    foot, fork = camera.project(np.array([(x, 0, z), (x + rng.uniform(-0.2, 0.2), tall * 0.5, z)]))
    painter.line(np.array([foot, fork]), 0.32 * metre, (45, 60, 75), weather.ambient + 1)
    crown = camera.project(np.array([(x, tall * 0.7, z)]))[0]
    green = np.array((45, 95, 70)) * rng.uniform(0.7, 1.15) + (0, 0, rng.uniform(-10, 35))
    count = 16 if tall * metre < 90 else 28
    angle, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
    spots = np.stack([np.cos(angle) * reach * 0.3, np.sin(angle) * reach * 0.3], 1) * tall * metre
    for spot in spots[np.argsort(spots[:, 1])[::-1]]:
        bright = 0.75 - 0.45 * spot[1] / (0.3 * tall * metre) * 0.6 + rng.uniform(-0.15, 0.2)
        radius = tall * rng.uniform(0.07, 0.13) * metre
        heat = weather.ambient + rng.uniform(-1.5, 1.2) + (1 if weather.sun else 0)
        painter.disc(crown + spot, radius, tuple(green * bright), heat)
    painter.commit(z)


def lamp_light(x: float, z: float) -> Lamp:
    """Return the light of a street lamp whose mast stands at (x, z)."""
    return Lamp((float(x - np.sign(x) * ARM), 5.6, float(z)), 1.15, 3.2, (0.55, 0.85, 1.1))


def paint_lamp(canvas: Canvas, weather: Weather, x: float, z: float, working: bool = True) -> None:
    """Draw a street lamp with an arm over the road; a working one glows at night."""
    painter, camera = Painter(canvas), canvas.camera
    metre, reach = camera.scale(z), -np.sign(x) * ARM
    mast = camera.project(np.array([(x, 0, z), (x, 6.0, z), (x + reach * 0.6, 6.4, z), (x + reach, 6.4, z)]))
    painter.line(mast, 0.14 * metre, (95, 95, 90), weather.ambient - 0.5)
    head = camera.project(
        np.array([(x + reach - 0.35, 6.28, z), (x + reach + 0.35, 6.28, z), (x + reach, 6.5, z)])
    )
    on = weather.night and working
    painter.polygon(
        head, (150, 150, 145), weather.ambient + (22 if on else 1), (150, 215, 255) if on else None
    )
    painter.commit(z)


def paint_pole(canvas: Canvas, weather: Weather, x: float, z: float, sign: bool) -> None:
    """Draw a pole, with a round traffic sign if ``sign``."""
    painter, camera = Painter(canvas), canvas.camera
    metre = camera.scale(z)
    top = 2.6 if sign else 7.5
    ends = camera.project(np.array([(x, 0, z), (x, top, z)]))
    width = 0.09 if sign else 0.24
    painter.line(ends, width * metre, (120, 120, 120) if sign else (50, 65, 80), weather.ambient + 0.5)
    if sign:
        painter.disc(ends[1], 0.36 * metre, (40, 40, 205), weather.ambient - 1.5)
        painter.disc(ends[1], 0.26 * metre, (235, 235, 235), weather.ambient - 1.5)
    else:
        arm = camera.project(np.array([(x - 0.9, 6.9, z), (x + 0.9, 6.9, z)]))
        painter.line(arm, 0.14 * metre, (50, 65, 80), weather.ambient + 0.5)
    painter.commit(z)


def paint_shadows(canvas: Canvas, boxes: list[tuple], weather: Weather) -> np.ndarray:
    """Return how bright the ground is under the shadows of ``boxes``, (H, W) uint8, 255 unshaded.

    Args:
        canvas: Gives camera and size.
        boxes: Corners of the footprint (N, 3) in metres, and the height of the thing on it.
        weather: With sun the shadows are cast, without they only lie underneath.
    """
    camera = canvas.camera
    shade = np.full(canvas.owner.shape, 255, np.uint8)
    for footprint, tall in boxes:
        points = np.array(footprint, float)
        if weather.sun is not None:
            shifted = points + np.array([weather.sun[0], 0, weather.sun[1]]) * tall
            shifted[:, 2] = np.maximum(shifted[:, 2], 2.0)
            points = np.vstack([points, shifted])
        hull = cv2.convexHull(camera.project(points).astype(np.float32)).astype(np.float64)
        level = 125 if weather.sun is not None else 150
        cv2.fillPoly(shade, [np.round(hull * 8).astype(np.int32)], level, shift=3)
    return shade
