"""What the generator knows of a scene as a structured caption: the oracle, an upper bound for any captioner.

Of objects it tells what is annotated, each by itself, the nearest first, so that encoders which know words
alone can count. It says nothing about where they are in the picture.
"""

from __future__ import annotations

from mmslg.captions.schema import CaptionRecord, StructuredCaption
from sample_scenes.scene import CATEGORIES, Scene, SceneObject

NEAR, FAR = 12.0, 18.0
"""Metres: nearer than the first is near, from the second on far."""
COLD_AIR, WARM_AIR = 10.0, 22.0
"""Degrees Celsius: below the first air is cold, from the second on warm."""


def oracle_record(file_name: str, scene: Scene) -> CaptionRecord:
    """Return the line of ``captions.jsonl`` of a scene."""
    return CaptionRecord(file_name, describe(scene), captioner='oracle', version='1')


def describe(scene: Scene) -> StructuredCaption:
    """Return the caption of a scene: light and weather, place, what is there, and what of it is warm.

    Example:
        >>> describe(render_scene(0, 'test', 0)).objects
        '2 persons, 1 car: near person, middle car, far person'
    """
    return StructuredCaption(_environment(scene), _place(scene), _objects(scene), _thermal(scene))


def _environment(scene: Scene) -> str:
    weather = scene.weather
    if weather.condition == 'glare':
        light = 'night with strong glare' if weather.night else 'daylight with strong glare'
    elif weather.condition == 'fog':
        light = 'foggy daylight'
    elif weather.night:
        light = 'artificially lit night' if scene.street.lamps else 'very dark night'
    else:
        light = 'clear daylight' if weather.sun is not None else 'overcast daylight'
    air = 'cold' if weather.ambient < COLD_AIR else 'mild' if weather.ambient < WARM_AIR else 'warm'
    return f'{light}, {air} air'


def _place(scene: Scene) -> str:
    street = scene.street
    place = 'urban street with a zebra crossing' if street.crossing else 'urban street'
    return f'{place}, {_number(len(street.lamps), "lamp")}' if street.lamps else place


def _objects(scene: Scene) -> str:
    if not scene.objects:
        return 'no visible objects'
    counts = [(name, sum(item.category == name for item in scene.objects)) for name in CATEGORIES]
    told = ', '.join(_number(number, name) for name, number in counts if number)
    each = ', '.join(f'{_distance(item)} {item.category}' for item in _by_distance(scene))
    return f'{told}: {each}'


def _thermal(scene: Scene) -> str:
    if scene.weather.crossover:
        return 'thermal crossover, everything as cold as the street'
    if not scene.objects:
        return 'low thermal contrast'
    each = ', '.join(f'{"warm" if item.warm else "cold"} {item.category}' for item in _by_distance(scene))
    contrast = 'high' if any(item.warm for item in scene.objects) else 'low'
    return f'{contrast} thermal contrast: {each}'


def _by_distance(scene: Scene) -> list[SceneObject]:
    return sorted(scene.objects, key=lambda item: item.distance)


def _number(number: int, name: str) -> str:
    return f'{number} {name}{"s" * (number > 1)}'


def _distance(item: SceneObject) -> str:
    return 'near' if item.distance < NEAR else 'middle' if item.distance < FAR else 'far'
