"""How far the infrared image of a pair is shifted against the visible one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

WORKING_WIDTH = 640
"""Larger images are reduced to this width; the result is in pixels of the original."""
SEARCH = 48
"""Largest shift looked for, in pixels at the working width."""
MIN_SIDE = 96
"""Images smaller than this hold too few edges."""
MAX_SECOND_PEAK = 0.75
"""Above this ratio of the second peak to the first an estimate is not relied on."""
_PEAK_RADIUS = 8


@dataclass(frozen=True)
class Shift:
    """An estimated shift.

    Args:
        dx: To the right, in pixels: what is at x in the visible image is at x + dx in the infrared one.
        dy: Downwards, in pixels.
        second_peak: Ratio of the second-best peak of the correlation to the best, 0 to 1.
    """

    dx: float
    dy: float
    second_peak: float

    @property
    def reliable(self) -> bool:
        """Whether one shift stands out."""
        return self.second_peak <= MAX_SECOND_PEAK


def estimate_shift(visible: np.ndarray, infrared: np.ndarray) -> Shift | None:
    """Correlate the edge strengths of two images, half whitened.

    Contrast reverses between the modalities, edges stay. The logarithm keeps single strong edges from
    deciding alone; half of the amplitude spectrum is divided out, which sharpens the peak without
    raising noise as full phase correlation does.

    Args:
        visible: Grey image ``(H, W)``, uint8.
        infrared: Grey image ``(H, W)``, uint8.

    Returns:
        The shift of the infrared image; None if the images are too small or hold no edges.
    """
    height, width = visible.shape
    if min(height, width) < MIN_SIDE or infrared.shape != visible.shape:
        return None
    scale = min(1.0, WORKING_WIDTH / width)
    if scale < 1:
        size = (WORKING_WIDTH, round(height * scale))
        visible, infrared = (cv2.resize(i, size, interpolation=cv2.INTER_AREA) for i in (visible, infrared))
    first, second = _edges(visible), _edges(infrared)
    if first is None or second is None:
        return None
    spectrum = np.conj(np.fft.rfft2(first)) * np.fft.rfft2(second)
    spectrum /= np.sqrt(np.abs(spectrum)) + 1e-6
    correlation = np.fft.fftshift(np.fft.irfft2(spectrum, s=first.shape))
    rows, columns = correlation.shape
    reach = min(SEARCH, rows // 3, columns // 3)
    window = correlation[
        rows // 2 - reach : rows // 2 + reach + 1, columns // 2 - reach : columns // 2 + reach + 1
    ]
    y, x = np.unravel_index(int(window.argmax()), window.shape)
    peak = float(window[y, x])
    if peak <= 0:
        return None
    others = window.copy()
    others[
        max(0, y - _PEAK_RADIUS) : y + _PEAK_RADIUS + 1, max(0, x - _PEAK_RADIUS) : x + _PEAK_RADIUS + 1
    ] = 0
    dx, dy = x - reach + _vertex(window[y, :], x), y - reach + _vertex(window[:, x], y)
    return Shift(round(dx / scale, 2), round(dy / scale, 2), round(float(others.max()) / peak, 3))


def _edges(image: np.ndarray) -> np.ndarray | None:
    """Return local edge strength, tapered towards the edge of the image."""
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.5)
    strength = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    if float(strength.std()) < 0.5:
        return None
    strength = np.log1p(strength)
    strength -= cv2.GaussianBlur(strength, (0, 0), 24)
    taper = [np.sqrt(np.hanning(n)).astype(np.float32) for n in strength.shape]
    return strength * np.outer(*taper)


def _vertex(values: np.ndarray, at: int) -> float:
    """Return the offset of a parabola's vertex through three samples around ``at``."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = (float(v) for v in values[at - 1 : at + 2])
    curvature = before - 2 * here + after
    return 0.0 if curvature >= 0 else float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))
