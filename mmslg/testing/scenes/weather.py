"""The conditions of a scene: light, air and temperatures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CONDITIONS = ('day', 'night', 'fog', 'glare', 'crossover')
SHARES = (0.22, 0.28, 0.12, 0.10, 0.28)
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Weather:
    """One draw of the conditions.

    Args:
        condition: One of ``CONDITIONS``.
        night: Whether it is dark.
        ambient: Air temperature in degrees Celsius.
        road: Temperature of the road.
        wall: Temperature of the walls.
        skylight: Brightness of unlit surfaces, 1 by day.
        tint: Colour cast (BGR factors).
        sun: Shadow of a metre of height: metres to the right and ahead; None without sun.
        haze: Extinction of visible light per metre.
        haze_infrared: The same in the infrared.
        noise: Standard deviation of the visible noise in grey levels at mid grey.
        span: Degrees from black to white in the infrared.
        level: Grey of the air temperature, 0 to 1.
        crossover: Whether everything has the temperature of its surroundings.
    """

    condition: str
    night: bool
    ambient: float
    road: float
    wall: float
    skylight: float
    tint: tuple[float, float, float]
    sun: tuple[float, float] | None
    haze: float
    haze_infrared: float
    noise: float
    span: float
    level: float
    crossover: bool


def condition_of(seed: int, split: int, index: int) -> str:
    """Return the condition of a scene, so that any run of scenes has about the same ``SHARES``."""
    start = float(np.random.default_rng([seed, split]).random())
    place = (start + index * GOLDEN) % 1.0  # the golden ratio spreads the scenes evenly
    return CONDITIONS[min(int(np.searchsorted(np.cumsum(SHARES), place, 'right')), len(CONDITIONS) - 1)]


def draw_weather(rng: np.random.Generator, condition: str) -> Weather:
    """Draw the conditions of this kind."""
    night = condition == 'night' or (condition == 'glare' and rng.random() < 0.4)
    ambient = float(rng.uniform(5, 13) if night else rng.uniform(12, 21))
    if condition == 'crossover':
        ambient = float(rng.uniform(24, 28))
    heat = float(
        rng.uniform(-0.5, 1.5) if night or condition in ('fog', 'crossover') else rng.uniform(1.5, 4.5)
    )
    sun = None
    if not night and (condition == 'glare' or (condition == 'day' and rng.random() < 0.7)):
        sun = (float(rng.uniform(-1.3, 1.3)), float(rng.uniform(-0.9, 0.3)))
    warm_cast = float(rng.uniform(-0.05, 0.07))
    return Weather(
        condition=condition,
        night=night,
        ambient=ambient,
        road=ambient + heat,
        wall=ambient + heat * 0.6,
        skylight=float(rng.uniform(0.022, 0.04) if night else rng.uniform(0.88, 1.05)),
        tint=(0.8, 0.95, 1.05) if night else (1 - warm_cast, 1.0, 1 + warm_cast),
        sun=sun,
        haze=float(rng.uniform(0.1, 0.17)) if condition == 'fog' else 0.0012,
        haze_infrared=float(rng.uniform(0.006, 0.014)) if condition == 'fog' else 0.002,
        noise=float(rng.uniform(3.5, 5.5) if night else rng.uniform(1.2, 2.2)),
        span=float(rng.uniform(18, 23) if condition == 'crossover' else rng.uniform(23, 29)),
        level=float(rng.uniform(0.28, 0.42)),
        crossover=condition == 'crossover',
    )
