"""From the drawn layers to what the two cameras deliver."""

from __future__ import annotations

import cv2
import numpy as np

from sample_scenes.canvas import CODES_PER_DEGREE, COLDEST, Canvas
from sample_scenes.street import Lamp
from sample_scenes.weather import Weather


def shrink(layer: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Average ``layer`` down to ``size`` (width, height)."""
    return cv2.resize(layer, size, interpolation=cv2.INTER_AREA)


def _texture(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Return smooth noise around 0 with grain of several sizes, (H, W) float32."""
    width, height = size
    total = np.zeros((height, width), np.float32)
    for cell, weight in ((3, 0.5), (12, 0.3), (48, 0.4)):
        grid = rng.standard_normal((height // cell + 2, width // (2 * cell) + 2), dtype=np.float32)
        total += weight * cv2.resize(grid, size, interpolation=cv2.INTER_LINEAR)
    return total


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur widely at a quarter of the size."""
    height, width = image.shape[:2]
    small = cv2.GaussianBlur(shrink(image, (width // 4, height // 4)), (0, 0), max(sigma / 4, 0.5))
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def visible_image(
    canvas: Canvas,
    shadows: np.ndarray,
    lamps: list[Lamp],
    glare: tuple[float, float, float] | None,
    weather: Weather,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """Render the colour image, (height, width, 3) uint8, BGR.

    Args:
        canvas: The scene.
        shadows: Brightness of the ground, (H, W) uint8.
        lamps: Lights at night.
        glare: Column and row (fractions of the image) and strength of what blinds the camera.
        weather: The conditions.
        size: Width and height of the image.
        rng: For texture and noise.
    """
    camera, (width, height) = canvas.camera, size
    ratio = canvas.owner.shape[1] / width
    colour = shrink(canvas.surface[..., :3], size).astype(np.float32)
    light = shrink(canvas.light, size).astype(np.float32)
    depth = shrink(canvas.depth, size)
    shadow = cv2.GaussianBlur(shrink(shadows, size), (0, 0), 0.8).astype(np.float32) / 255
    ground = shrink(canvas.is_ground().astype(np.uint8) * 255, size).astype(np.float32) / 255
    colour *= (1 + 0.045 * _texture(rng, size) * (0.4 + 0.6 * ground))[..., None]
    columns = (np.arange(width, dtype=np.float32) + 0.5) * ratio - camera.centre
    rows = (np.arange(height, dtype=np.float32) + 0.5) * ratio - camera.horizon
    scale = depth / camera.focal
    bright = np.repeat((weather.skylight * (1 - (1 - shadow) * ground))[..., None], 3, 2)
    for lamp in lamps:
        x, y, z = (float(metres) for metres in lamp.position)  # NumPy numbers would widen the arrays
        pool = lamp.brightness(columns * scale - x, camera.height - rows[:, None] * scale - y, depth - z)
        for channel, factor in enumerate(lamp.colour):
            bright[..., channel] += pool * factor
    image = colour * bright * np.array(weather.tint, np.float32)
    image += light * (1.5 if weather.night else 0.7)
    through = np.exp(-weather.haze * depth)[..., None]
    air = np.array((14, 13, 12) if weather.night else (205, 203, 200), np.float32)
    image = image * through + air * (1 - through)
    if weather.night or weather.condition == 'fog':
        image += 0.55 * _blur(light, 6) + 0.6 * _blur(light, 18)
    if glare is not None:
        image = _dazzle(image, glare, weather)
    image = cv2.GaussianBlur(image, (0, 0), 0.45)
    np.clip(image, 0, 255, out=image)
    coarse = rng.standard_normal((height // 2, width // 2, 3), dtype=np.float32)  # colour noise is blotchy
    noise = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
    noise += 0.8 * rng.standard_normal((height, width, 1), dtype=np.float32)
    noise *= weather.noise * np.sqrt(0.35 + image.mean(2, keepdims=True) / 170)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _dazzle(image: np.ndarray, glare: tuple[float, float, float], weather: Weather) -> np.ndarray:
    """Wash the image out around a low sun or a headlamp."""
    height, width = image.shape[:2]
    column, row, strength = (float(value) for value in glare)
    dx = (np.arange(width, dtype=np.float32) - column * width)[None] / height
    dy = (np.arange(height, dtype=np.float32) - row * height)[:, None] / height
    away = np.sqrt(dx**2 + dy**2)
    veil = 1.5 * np.exp(-((away / 0.16) ** 2)) + 0.95 * np.exp(-((away / 0.38) ** 1.6)) + 0.12
    veil += 0.35 * np.exp(-((dx / 0.07) ** 2)) * (dy > 0) * np.exp(-np.maximum(dy, 0) * 1.5)
    veil += 0.1 * np.clip(np.cos(np.arctan2(dy, dx) * 6), 0, 1) ** 16 * np.exp(-away * 2.5)
    veil = np.clip(veil * strength, 0, None)[..., None]
    tint = np.array((235, 245, 252) if weather.night else (215, 240, 255), np.float32)
    return image * np.clip(1 - 0.62 * veil, 0.03, 1) + tint * veil


def infrared_image(
    canvas: Canvas, weather: Weather, size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Render the thermal image, white hot, (height, width) uint8."""
    celsius = shrink(canvas.surface[..., 3], size).astype(np.float32) / CODES_PER_DEGREE + COLDEST
    celsius += 0.45 * _texture(rng, size) * (0.25 if weather.crossover else 1.0)
    through = np.exp(-weather.haze_infrared * np.minimum(shrink(canvas.depth, size), 150))
    celsius = celsius * through + (weather.ambient - 1) * (1 - through)
    celsius = cv2.GaussianBlur(celsius, (0, 0), 0.75)
    low = weather.ambient - weather.span * weather.level
    grey = (celsius - low) * (255 / weather.span)
    grey = np.where(grey > 200, 200 + 55 * np.tanh((grey - 200) / 70), grey)
    grey += rng.standard_normal(grey.shape, dtype=np.float32) * 2.0
    grey += rng.standard_normal((1, size[0]), dtype=np.float32) * 0.9
    return np.clip(grey, 0, 255).astype(np.uint8)
