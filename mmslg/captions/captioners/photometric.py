"""A captioner without a model: rules over the brightness, colour and edges of both images.

It knows light, haze, amount of structure and thermal contrast. It detects nothing, so the objects
component is always the same neutral phrase.

Day or night is a sum of four pieces of evidence (:func:`daylight_evidence`), each of them fallible:
a night camera with automatic gain delivers pictures as bright as daylight, a lit shopping street
has a bright upper third, a neutral lamp gives no tint. Views without sky are decided by colour and
exposure alone, and less surely. Every threshold stands below with its unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mmslg.captions.captioners.base import Captioner
from mmslg.captions.schema import StructuredCaption
from mmslg.errors import InputError
from mmslg.registry import CAPTIONERS

WORK_SIZE = (160, 128)
"""Width and height at which everything is measured, pixels."""
SKY_FRACTION = 3
"""The upper 1/3 of the picture is where sky would be."""
FRAME_LEVEL = 245
"""Grey levels, 0-255: a border brighter than this in both images is a frame around them, not scene."""
SATURATED_LEVEL = 250
"""Grey levels, 0-255, from which on a pixel counts as saturated."""
MIN_STRETCH = 32.0
"""Smallest range, in grey levels or counts, stretched to 0-1 before edges are measured: less is noise."""

# Evidence for daylight: (value - zero) / scale, clipped to what daylight_evidence says.
SKY_ZERO, SKY_SCALE = 165.0, 60.0
"""Luminance of the upper third, grey levels."""
RELATIVE_SKY_ZERO, RELATIVE_SKY_SCALE = -10.0, 20.0
"""Upper third minus the rest, grey levels."""
TINT_ZERO, TINT_SCALE = 7.0, 4.0
"""Distance from grey, units of a and b in 8-bit CIELAB."""
EXPOSURE_ZERO, EXPOSURE_SCALE, EXPOSURE_WEIGHT = 80.0, 20.0, 3.0
"""Mean luminance, grey levels; the weight is a plain factor."""

VERY_DARK_MEAN, DIM_NIGHT_MEAN = 20.0, 75.0
"""Mean luminance in grey levels below which a night is very dark, dimly lit; above it is artificially lit."""
NIGHT_GLARE_AREA = 0.015
"""Share of saturated pixels, 0-1, from which on lamps glare at night."""
DIM_DAY_WHITE = 180.0
"""95th percentile of luminance in grey levels below which daylight is dim."""
OVEREXPOSED_AREA, OVEREXPOSED_MEDIAN = 0.12, 200.0
"""Share of saturated pixels, 0-1, or median luminance in grey levels, of an overexposed picture."""
VEIL_BLACK, VEIL_AREA = 120.0, 0.08
"""Glare by day: a light that shines into the lens lifts the 5th percentile of luminance, grey levels, and
saturates a share of the pixels, 0-1; both must show."""
FOG_BLACK_RATIO, FOG_EDGES = 0.55, 0.2
"""Fog: the dark parts (5th percentile) reach this share of the bright ones (95th), and the mean gradient
between neighbours is weaker than this share of them."""

OPEN_EDGES, DENSE_EDGES = 0.33, 0.5
"""Mean gradient, sum of both Sobel responses, of an image stretched to 0-1."""
THERMAL_LOW, THERMAL_HIGH = 0.25, 0.6
"""2nd to 98th percentile of the infrared as a share of its scale, 0-1."""
RAW_THERMAL_LOW, RAW_THERMAL_HIGH = 250.0, 1000.0
"""The same in counts of raw 16-bit data: 2.5 and 10 K at the usual 10 mK a count."""
RAW_RANGE = 16384.0
"""Counts: a 16-bit range beyond 14 bits is no raw sensor but a stretched image, judged as 8 bits are."""
CROSSOVER_EDGE_RATIO = 0.5
"""Infrared edges below this share of the visible ones, at low contrast: objects melt into the scene."""


@dataclass(frozen=True)
class PairStatistics:
    """What the rules look at. Luminance is 0-255.

    Args:
        mean: Mean luminance.
        black: 5th percentile of luminance.
        median: Median luminance.
        white: 95th percentile of luminance.
        saturated: Share of pixels at the upper end of the scale, 0-1.
        sky: 75th percentile of luminance in the upper third.
        sky_difference: Mean luminance of the upper third minus that of the rest.
        tint: Distance of the mean colour from grey in the a-b plane of CIELAB.
        haze_edges: Mean gradient of the luminance over ``white``.
        visible_edges: Mean gradient of the luminance stretched to 0-1.
        infrared_edges: Mean gradient of the infrared stretched to 0-1.
        thermal_range: 2nd to 98th percentile of the infrared: share of the scale, or counts if ``raw``.
        raw: Whether ``thermal_range`` is in counts of raw 16-bit data.
    """

    mean: float
    black: float
    median: float
    white: float
    saturated: float
    sky: float
    sky_difference: float
    tint: float
    haze_edges: float
    visible_edges: float
    infrared_edges: float
    thermal_range: float
    raw: bool


@CAPTIONERS.register_module(name='photometric')
class PhotometricCaptioner(Captioner):
    """Captions a pair from its pixel statistics, hundreds of pairs a second on one core.

    Example:
        >>> captioner = PhotometricCaptioner()
        >>> captioner.caption(np.zeros((512, 640, 3), np.uint8), np.zeros((512, 640), np.uint8)).environment
        'very dark night'
    """

    version = '1'

    def caption(self, visible: np.ndarray, infrared: np.ndarray) -> StructuredCaption:
        """Caption one pair.

        Args:
            visible: BGR image ``(H, W, 3)``, uint8.
            infrared: Image ``(H', W')``, uint8 or uint16 as stored; the sizes may differ.

        Returns:
            The four components, phrases of ``VOCABULARY``.

        Raises:
            InputError: An image has another shape or pixel type.
        """
        stats = measure(visible, infrared)
        return StructuredCaption(
            environment=environment(stats),
            scene=scene(stats),
            objects='unspecified objects',
            thermal=thermal(stats),
        )


def measure(visible: np.ndarray, infrared: np.ndarray) -> PairStatistics:
    """Measure a pair on a small copy of it.

    Args:
        visible: BGR image ``(H, W, 3)``, uint8.
        infrared: Image ``(H', W')``, uint8 or uint16.
    """
    _check_pair(visible, infrared)
    small = cv2.resize(visible, WORK_SIZE, interpolation=cv2.INTER_AREA)
    heat = cv2.resize(infrared, WORK_SIZE, interpolation=cv2.INTER_AREA)
    small, heat = _without_frame(small, heat)
    luminance = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    horizon = max(1, luminance.shape[0] // SKY_FRACTION)
    top, rest = luminance[:horizon], luminance[horizon:]
    black, median, white = _percentiles(luminance, 5, 50, 95)
    _, green_red, blue_yellow, _ = cv2.mean(cv2.cvtColor(small, cv2.COLOR_BGR2LAB))
    low, high = _percentiles(heat, 2, 98)
    raw = heat.dtype == np.uint16 and high - low <= RAW_RANGE
    scale = 1.0 if raw else float(np.iinfo(heat.dtype).max)
    return PairStatistics(
        mean=float(luminance.mean()),
        black=black,
        median=median,
        white=white,
        saturated=float((luminance >= SATURATED_LEVEL).mean()),
        sky=_percentiles(top, 75)[0],
        sky_difference=float(top.mean() - rest.mean()),
        tint=float(np.hypot(green_red - 128, blue_yellow - 128)),
        haze_edges=_mean_gradient(luminance) / max(white, 1.0),
        visible_edges=_mean_gradient(_stretch(luminance)),
        infrared_edges=_mean_gradient(_stretch(heat)),
        thermal_range=(high - low) / scale,
        raw=bool(raw),
    )


def daylight_evidence(stats: PairStatistics) -> float:
    """Return the evidence for daylight; above 0 means day.

    The sum of: a bright upper third, an upper third brighter than the rest, a colourless mean (lamps
    tint the whole picture), minus a penalty for a dark picture.
    """
    sky = np.clip((stats.sky - SKY_ZERO) / SKY_SCALE, -1, 1)
    relative = np.clip((stats.sky_difference - RELATIVE_SKY_ZERO) / RELATIVE_SKY_SCALE, -1, 1)
    neutral = np.clip((TINT_ZERO - stats.tint) / TINT_SCALE, -2, 1)
    exposure = np.clip((stats.mean - EXPOSURE_ZERO) / EXPOSURE_SCALE, -1, 0)
    return float(sky + relative + neutral + EXPOSURE_WEIGHT * exposure)


def environment(stats: PairStatistics) -> str:
    """Return the phrase for light and haze."""
    day = daylight_evidence(stats) > 0
    veiled = stats.black >= FOG_BLACK_RATIO * stats.white and stats.haze_edges < FOG_EDGES
    if veiled and stats.mean >= DIM_NIGHT_MEAN and stats.saturated < OVEREXPOSED_AREA:
        return 'foggy daylight' if day else 'foggy night'
    return _daylight(stats) if day else _night(stats)


def _daylight(stats: PairStatistics) -> str:
    if stats.black >= VEIL_BLACK and stats.saturated >= VEIL_AREA:
        return 'daylight with strong glare'
    if stats.saturated >= OVEREXPOSED_AREA or stats.median >= OVEREXPOSED_MEDIAN:
        return 'overexposed daylight'
    return 'dim daylight' if stats.white < DIM_DAY_WHITE else 'clear daylight'


def _night(stats: PairStatistics) -> str:
    if stats.saturated >= NIGHT_GLARE_AREA:
        return 'night with strong glare'
    if stats.mean < VERY_DARK_MEAN:
        return 'very dark night'
    return 'dimly lit night' if stats.mean < DIM_NIGHT_MEAN else 'artificially lit night'


def scene(stats: PairStatistics) -> str:
    """Return the phrase for the amount of structure, in whichever image shows more of it."""
    edges = max(stats.visible_edges, stats.infrared_edges)
    if edges < OPEN_EDGES:
        return 'open scene'
    return 'densely structured scene' if edges > DENSE_EDGES else 'moderately structured scene'


def thermal(stats: PairStatistics) -> str:
    """Return the phrase for the thermal signature."""
    low, high = (RAW_THERMAL_LOW, RAW_THERMAL_HIGH) if stats.raw else (THERMAL_LOW, THERMAL_HIGH)
    if stats.thermal_range > high:
        return 'high thermal contrast'
    if stats.thermal_range >= low:
        return 'moderate thermal contrast'
    crossover = stats.infrared_edges < CROSSOVER_EDGE_RATIO * stats.visible_edges
    return 'thermal crossover' if crossover else 'low thermal contrast'


def _check_pair(visible: np.ndarray, infrared: np.ndarray) -> None:
    if visible.ndim != 3 or visible.shape[2] != 3 or visible.dtype != np.uint8 or not visible.size:
        got = f'{visible.shape} {visible.dtype}'
        raise InputError(f'wanted a visible image (H, W, 3) uint8, got {got}')
    if infrared.ndim != 2 or infrared.dtype not in (np.uint8, np.uint16) or not infrared.size:
        got = f'{infrared.shape} {infrared.dtype}'
        raise InputError(f'wanted an infrared image (H, W) uint8 or uint16, got {got}')


def _without_frame(visible: np.ndarray, infrared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut off a border, white on all sides of both images, as DroneVehicle's files have it."""
    white = infrared.dtype.type(FRAME_LEVEL * np.iinfo(infrared.dtype).max // 255)
    scene_pixels = (cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY) < FRAME_LEVEL) | (infrared < white)
    rows, columns = (np.flatnonzero(scene_pixels.mean(axis=axis) > 0.1) for axis in (1, 0))
    height, width = scene_pixels.shape
    if len(rows) < 8 or len(columns) < 8:
        return visible, infrared
    if rows[0] == 0 or columns[0] == 0 or rows[-1] == height - 1 or columns[-1] == width - 1:
        return visible, infrared
    inside = slice(rows[0] + 1, rows[-1]), slice(columns[0] + 1, columns[-1])
    return visible[inside], infrared[inside]


def _stretch(image: np.ndarray) -> np.ndarray:
    low, high = _percentiles(image, 1, 99)
    stretched = (image.astype(np.float32) - np.float32(low)) / np.float32(max(high - low, MIN_STRETCH))
    return np.clip(stretched, 0, 1)


def _percentiles(image: np.ndarray, *percents: float) -> list[float]:
    # Nearest rank: sorting small integers is several times faster than np.percentile.
    ordered = np.sort(image, axis=None, kind='stable')
    return [float(ordered[round(percent / 100 * (ordered.size - 1))]) for percent in percents]


def _mean_gradient(image: np.ndarray) -> float:
    horizontal = cv2.Sobel(image, cv2.CV_32F, 1, 0)
    vertical = cv2.Sobel(image, cv2.CV_32F, 0, 1)
    return float((np.abs(horizontal) + np.abs(vertical)).mean())
