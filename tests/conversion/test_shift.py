import cv2
import numpy as np
import pytest
from conversion.folders import scene

from mmslg.conversion.readers import find_readers
from mmslg.conversion.verification.shift import estimate_shift

USUAL_SHIFTS = {name: reader.usual_shift for name, reader in find_readers().items() if reader.usual_shift}
FOLDERS = {
    'llvip': ('llvip_pairs/visible/*/*', 'llvip_pairs/infrared/*/*'),
    'kaist': ('kaist_pairs/images/*_visible.*', 'kaist_pairs/images/*_lwir.*'),
    'flir': ('flir_aligned_pairs/vis/*', 'flir_aligned_pairs/ir/*'),
    'dronevehicle': ('dronevehicle_pairs/padded_840x712/*/rgb/*', 'dronevehicle_pairs/padded_840x712/*/ir/*'),
    'm3fd': ('m3fd_pairs/vis/*', 'm3fd_pairs/ir/*'),
    'roadscene': ('roadscene_flir/visible/*', 'roadscene_flir/infrared/*'),
}


def medians(pairs, dx=0, dy=0):
    shifts = []
    for visible, infrared in pairs:
        moved = cv2.warpAffine(infrared, np.float32([[1, 0, dx], [0, 1, dy]]), infrared.shape[::-1])
        shift = estimate_shift(visible, moved)
        if shift.reliable:
            shifts.append((shift.dx, shift.dy))
    return np.median(shifts, 0), len(shifts)


@pytest.mark.parametrize('name', FOLDERS)
def test_real_pairs_shifted_by_a_known_amount(name, shared):
    columns = [sorted(shared.glob(pattern))[:24] for pattern in FOLDERS[name]]
    pairs = [[cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in pair] for pair in zip(*columns)]
    if name == 'dronevehicle':
        pairs = [[i[100:-100, 100:-100] for i in pair] for pair in pairs]
    before, reliable = medians(pairs)
    after, _ = medians(pairs, 12, -7)
    assert reliable >= 0.7 * len(pairs)
    assert np.abs(after - before - (12, -7)).max() <= 1.5
    assert np.abs(after - (12, -7) - USUAL_SHIFTS.get(name, (0, 0))).max() <= 1.5
    if name in ('roadscene', 'dronevehicle', 'kaist'):  # the published pairs of the others are offset
        assert np.abs(after - (12, -7)).max() <= 1.5


def test_drawn_pairs_and_large_images():
    visible, infrared = scene(3)
    grey = cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY)
    shift = estimate_shift(grey, np.roll(infrared, (-7, 12), (0, 1)))
    assert (shift.dx, shift.dy) == pytest.approx((12, -7), abs=0.5) and shift.reliable
    big = [cv2.resize(i, None, fx=2, fy=2) for i in (grey, np.roll(infrared, (-7, 12), (0, 1)))]
    shift = estimate_shift(*big)
    assert (shift.dx, shift.dy) == pytest.approx((24, -14), abs=1)


def test_nothing_to_go_by():
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (512, 640), dtype=np.uint8) for _ in range(2)]
    assert not estimate_shift(*noise).reliable
    assert estimate_shift(noise[0], np.full((512, 640), 7, np.uint8)) is None
    assert estimate_shift(noise[0][:40], noise[1][:40]) is None
