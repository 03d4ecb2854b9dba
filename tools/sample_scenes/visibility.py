"""Which camera sees an object: measured in the rendered images."""

from __future__ import annotations

import cv2
import numpy as np

# Mean difference between an object's rim and what is around it, in grey levels of 255, from which on the
# object counts as seen. Noise alone gives about 1.
MIN_CONTRAST = 10.0
# An object also counts as seen by its lamps or its engine: this share of its pixels has to lie so many grey
# levels outside of all that is around it.
MIN_SPOT_SHARE = 0.02
MIN_SPOT_CONTRAST = 30.0


def rim_contrast(image: np.ndarray, mask: np.ndarray, nearer: np.ndarray) -> float:
    """Return how much an object stands out from its surroundings.

    Along the rim of the object the mean just inside is compared with the mean just outside, so that a
    background that changes from place to place counts for nothing.

    Args:
        image: (H, W) or (H, W, C) uint8; of several channels the mean difference counts.
        mask: (H, W) bool; the visible part of the object.
        nearer: (H, W) bool; what stands in front; its edges are not the object's.

    Returns:
        Grey levels, 0 when nothing is around the object.
    """
    crop, inside, outside, reach = _surroundings(image, mask, nearer)

    def blur(layer: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(layer, -1, (2 * reach + 1, 2 * reach + 1), borderType=cv2.BORDER_CONSTANT)

    weight_in, weight_out = blur(inside), blur(outside)
    rim = (inside > 0) & (weight_out > 0.08)
    if not rim.any():
        return 0.0
    total = np.zeros(inside.shape, np.float32)
    for layer in np.moveaxis(crop, 2, 0):
        mean_in = blur(layer * inside) / np.maximum(weight_in, 1e-3)
        total += np.abs(mean_in - blur(layer * outside) / np.maximum(weight_out, 1e-3))
    return float(total[rim].mean() / crop.shape[2])


def spot_share(image: np.ndarray, mask: np.ndarray, nearer: np.ndarray) -> float:
    """Return the share of an object's pixels that are far brighter or darker than all around it.

    Arguments as for :func:`rim_contrast`.
    """
    crop, inside, outside, _ = _surroundings(image, mask, nearer)
    grey = cv2.blur(crop.mean(2), (3, 3))
    around = cv2.dilate(inside, np.ones((9, 9), np.uint8)) * outside > 0
    if not around.any():
        return 0.0
    low, high = np.percentile(grey[around], (2, 98))
    values = grey[inside > 0]
    return float(((values > high + MIN_SPOT_CONTRAST) | (values < low - MIN_SPOT_CONTRAST)).mean())


def _surroundings(
    image: np.ndarray, mask: np.ndarray, nearer: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Cut out the object: image (h, w, C), weights of inside and outside (h, w), width of the rim."""
    x, y, width, height = tight_box(mask)
    reach = int(np.clip(round(0.06 * max(width, height)), 2, 5))
    pad = 2 * reach + 1
    window = np.s_[max(y - pad, 0) : y + height + pad, max(x - pad, 0) : x + width + pad]
    inside = mask[window].astype(np.float32)
    edge = cv2.dilate(inside, np.ones((3, 3), np.uint8))  # blurred edge pixels belong to neither side
    crop = image[window].astype(np.float32)
    return crop.reshape(*inside.shape, -1), inside, (1 - edge) * ~nearer[window], reach


def tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return x, y, width and height of what is set in a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def seen_in(visible: np.ndarray, infrared: np.ndarray, mask: np.ndarray, nearer: np.ndarray) -> str | None:
    """Return 'both', 'visible', 'infrared' or None: which camera shows the object."""
    colour, heat = (
        rim_contrast(image, mask, nearer) >= MIN_CONTRAST or spot_share(image, mask, nearer) >= MIN_SPOT_SHARE
        for image in (visible, infrared)
    )
    if colour and heat:
        return 'both'
    return 'visible' if colour else 'infrared' if heat else None
