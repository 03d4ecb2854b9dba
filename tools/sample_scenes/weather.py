"""The conditions of a scene: light, air and temperatures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CONDITIONS = ('day', 'night', 'fog', 'glare', 'crossover')
SHARES = (0.22, 0.28, 0.12, 0.10, 0.28)
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Weather:
    """One draw of the conditions; temperatures are in degrees Celsius."""

    condition: str  # one of CONDITIONS
    night: bool
    ambient: float  # temperature of the air
    road: float  # of the road
    wall: float  # of the walls
    sun: tuple[float, float] | None  # shadow of a metre of height: metres to the right and ahead
    skylight: float  # brightness of unlit surfaces, 1 by day
    tint: tuple[float, float, float]  # colour cast, BGR factors
    haze: float  # extinction of visible light per metre
    haze_infrared: float
    noise: float  # standard deviation of the visible noise, grey levels at mid grey
    span: float  # degrees from black to white in the infrared
    level: float  # grey of the air temperature, 0 to 1

    @property
    def crossover(self) -> bool:
        """Whether everything has the temperature of its surroundings."""
        return self.condition == 'crossover'


def condition_of(seed: int, split: int, index: int) -> str:
    """Return the condition of a scene, so that any run of scenes has about the same ``SHARES``."""
    start = float(np.random.default_rng([seed, split]).random())
    place = (start + index * GOLDEN) % 1.0  # the golden ratio spreads the scenes evenly
    return CONDITIONS[min(int(np.searchsorted(np.cumsum(SHARES), place, 'right')), len(CONDITIONS) - 1)]


def draw_weather(rng: np.random.Generator, condition: str) -> Weather:
    """Draw the conditions of this kind."""
    fog, crossover = condition == 'fog', condition == 'crossover'

    def draw(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    night = condition == 'night' or (condition == 'glare' and rng.random() < 0.4)
    ambient = draw(5, 13) if night else draw(12, 21)
    if crossover:
        ambient = draw(24, 28)
    heat = draw(-0.5, 1.5) if night or fog or crossover else draw(1.5, 4.5)
    sunny = not night and (condition == 'glare' or (condition == 'day' and rng.random() < 0.7))
    sun = (draw(-1.3, 1.3), draw(-0.9, 0.3)) if sunny else None
    warm_cast = draw(-0.05, 0.07)
    return Weather(
        condition, night, ambient, ambient + heat, ambient + heat * 0.6, sun,
        skylight=draw(0.022, 0.04) if night else draw(0.88, 1.05),
        tint=(0.8, 0.95, 1.05) if night else (1 - warm_cast, 1.0, 1 + warm_cast),
        haze=draw(0.1, 0.17) if fog else 0.0012,
        haze_infrared=draw(0.006, 0.014) if fog else 0.002,
        noise=draw(3.5, 5.5) if night else draw(1.2, 2.2),
        span=draw(18, 23) if crossover else draw(23, 29),
        level=draw(0.28, 0.42),
    )  # fmt: skip
