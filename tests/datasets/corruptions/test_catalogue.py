import hashlib
import json
import re

import numpy as np
import pytest
from helpers import ROOT

from mmslg.datasets.corruptions import CORRUPTIONS, Statistics, corrupt, pair_seed
from mmslg.datasets.corruptions.published import COMMON
from mmslg.errors import InputError

PAIR = np.random.default_rng(0).integers(40, 220, (48, 64, 4), dtype=np.uint8)
BRIGHT = np.full((100, 100, 4), 128, np.uint8)
SLOW = ('visible/glass_blur', 'infrared/glass_blur')  # it is compiled at the first call


def test_the_seed_is_the_head_of_a_hash():
    text = b'7\x00visible/fog\x003\x00day/001.png'
    assert pair_seed(7, 'visible/fog', 3, 'day/001.png') == int(hashlib.sha256(text).hexdigest()[:16], 16)


def test_every_corruption_has_five_severities_or_one():
    assert {len(c.severities) for n, c in CORRUPTIONS.items() if not n.startswith('missing/')} == {5}
    assert {len(c.severities) for n, c in CORRUPTIONS.items() if n.startswith('missing/')} == {1}
    for group in ('visible', 'infrared'):
        assert all(f'{group}/{name}' in CORRUPTIONS for name in COMMON)


@pytest.mark.parametrize('name', [n for n in CORRUPTIONS if n not in SLOW])
def test_a_corruption_repeats_itself_and_touches_its_own_image_alone(name):
    last = CORRUPTIONS[name].severities[-1]
    before, state = PAIR.copy(), np.random.get_state()[1].copy()
    assert np.array_equal(corrupt(PAIR, name, 0, 5)[0], PAIR)
    first, facts = corrupt(PAIR, name, last, 5)
    again, same = corrupt(PAIR, name, last, 5)
    assert np.array_equal(PAIR, before) and np.array_equal(np.random.get_state()[1], state)
    assert first.dtype == np.uint8 and first.shape == PAIR.shape
    assert np.array_equal(first, again) and facts == same
    seen = {'visible': not np.array_equal(first[..., :3], PAIR[..., :3]),
            'infrared': not np.array_equal(first[..., 3], PAIR[..., 3])}  # fmt: skip
    group, what = name.split('/')
    if group == 'pair':
        assert seen == {'visible': True, 'infrared': what == 'noise_and_shift'}
        other = corrupt(PAIR, name, last, 5, moved='infrared')[0]
        assert not np.array_equal(other[..., 3], PAIR[..., 3])
    else:
        changed = what.split('_')[0] if group == 'missing' else group
        assert seen == {'visible': changed == 'visible', 'infrared': changed == 'infrared'}


@pytest.mark.parametrize('name', ['gaussian_noise', 'motion_blur', 'fog', 'low_light', 'glare'])
def test_another_pair_is_corrupted_otherwise(name):
    seeds = [pair_seed(0, f'visible/{name}', 3, key) for key in ('a.png', 'b.png')]
    first, second = (corrupt(PAIR, f'visible/{name}', 3, seed)[0] for seed in seeds)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(('name', 'channels'), [('visible', slice(0, 3)), ('infrared', slice(3, 4))])
def test_noise_has_the_deviation_of_the_published_severities(name, channels):
    for severity, sigma in ((1, 0.08), (3, 0.18)):
        noise = corrupt(BRIGHT, f'{name}/gaussian_noise', severity, 1)[0][..., channels] - 127.5
        assert noise.std() == pytest.approx(255 * sigma, rel=0.05)  # values are cut off to whole levels


def test_the_package_gets_red_first(monkeypatch):
    import imagecorruptions

    seen = []
    monkeypatch.setattr(imagecorruptions, 'corrupt', lambda image, *rest: seen.append(image) or image)
    changed, _ = corrupt(PAIR, 'visible/fog', 2, 0)
    assert np.array_equal(seen[0], PAIR[..., 2::-1]) and np.array_equal(changed, PAIR)
    changed, _ = corrupt(PAIR, 'infrared/fog', 2, 0)
    assert np.array_equal(seen[1], np.repeat(PAIR[..., 3:], 3, 2)) and np.array_equal(changed, PAIR)


def test_what_takes_the_place_of_a_missing_image():
    statistics = Statistics((10, 20, 30, 40), (1, 2, 3, 4))
    assert not corrupt(PAIR, 'missing/visible_zeros', 1, 0)[0][..., :3].any()
    mean = corrupt(PAIR, 'missing/visible_mean', 1, 0, statistics=statistics)[0]
    assert np.array_equal(mean[..., :3], np.broadcast_to([10, 20, 30], (48, 64, 3)))
    noise = corrupt(PAIR, 'missing/infrared_noise', 1, 0, statistics=statistics)[0][..., 3]
    assert noise.mean() == pytest.approx(40, abs=0.3) and noise.std() == pytest.approx(4, rel=0.05)


def test_noise_and_shift_are_both():
    changed, facts = corrupt(BRIGHT, 'pair/noise_and_shift', 3, 0, moved='infrared')
    assert abs(facts['dx']) + abs(facts['dy']) == 8 and facts['overlap'] == 0.92
    assert (changed[..., 3] == 0).sum() >= 800 and changed[..., :3].std() > 30


def test_bad_names_and_severities_are_one_line():
    with pytest.raises(
        InputError, match=r"there is no corruption 'visible/fogg'; there are visible/gaussian"
    ):
        corrupt(PAIR, 'visible/fogg', 1, 0)
    with pytest.raises(InputError, match='pair/shift has the severities 0 to 5, got 6'):
        corrupt(PAIR, 'pair/shift', 6, 0)
    with pytest.raises(InputError, match='fog wants images of at least 32 pixels a side, got 64x31'):
        corrupt(PAIR[:31], 'visible/fog', 1, 0)


def test_the_line_in_the_docs_is_what_a_test_writes():
    text = (ROOT / 'docs/robustness.md').read_text()
    line = json.loads(re.search(r'```json\n(.*?)```', text, re.S)[1])
    name, severity, key = line['name'], line['severity'], line['key']
    seed = pair_seed(0, name, severity, key)
    _, drawn = corrupt(np.zeros((256, 320, 4), np.uint8), name, severity, seed, moved='infrared')
    assert line == dict(key=key, name=name, severity=severity, seed=seed, **drawn, sha256='…')
    assert f"pair_seed(0, '{name}', {severity}, '{key}')" in text
