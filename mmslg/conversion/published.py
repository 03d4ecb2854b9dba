"""What is published of the four datasets: counts to compare a copy with, and known flaws.

The sources are the datasets' own documents and label files; see docs/datasets.md.
"""

from __future__ import annotations

PAIRS = {
    'flir': {'train': 4129, 'test': 1013},
    'llvip': {'train': 12025, 'test': 3463},
    'kaist': {'test': 2252},
    'dronevehicle': {'train': 17990, 'val': 1469, 'test': 8980},
}
"""Pairs a split. KAIST's training set goes by lists, see KAIST_TRAIN_LISTS."""

SIZES = {'flir': (640, 512), 'llvip': (1280, 1024), 'kaist': (640, 512), 'dronevehicle': (640, 512)}
"""Width and height of an image in pixels; DroneVehicle's without its border."""

KAIST_TRAIN_LISTS = (25086, 8892, 7601)
"""Lengths of the training lists in use."""

BOXES = {
    'flir': {'test': {'person': 4107, 'car': 4124, 'bicycle': 360}},
    'kaist': {'test': {'person': 3390, 'people': 597, 'person?': 177, 'cyclist': 90}},
}
"""Boxes by class; of LLVIP, whose labels were corrected, see LLVIP_TEST_BOXES."""

LLVIP_TEST_BOXES = {8302: 'corrected (2023-02-21)', 7931: 'before the correction of 2023-02-21'}

FLIR_TIMES = ((8864, 9018, 'night'), (9019, 9318, 'day'), (9323, 9671, 'night'), (9672, 10227, 'day'))
"""First and last frame number of the test sequences and their time of day."""
FLIR_FIRST_TEST = 8864
"""Frames from this number on belong to the test split, the others to the training split."""

BORDER = 100
"""White border of DroneVehicle's images in pixels on each side."""
DRONEVEHICLE_TRUNCATED = ('train/trainimg/09012.jpg', 'train/trainimgr/16009.jpg')
"""Images that are truncated in the published archive."""
DRONEVEHICLE_RENUMBERED = {'val': (17991, 19459), 'test': (19460, 28439)}
"""File numbers of the copies that count through all splits."""

KNOWN_OVERSHOOT = {'kaist': 6}
"""By how many pixels published boxes exceed the image: 39 of KAIST's improved test labels do."""
KNOWN_DUPLICATE_BOXES = {'flir': ('FLIR_09042', 'FLIR_09055', 'FLIR_09653')}
"""Pairs whose published labels give one box twice."""
