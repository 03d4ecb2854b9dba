import hashlib

import numpy as np
import pytest

from mmslg.datasets.corruptions import corrupt, pair_seed
from mmslg.datasets.paired_coco import list_steps
from mmslg.datasets.transforms import CorruptPair, DelayImage
from mmslg.errors import InputError

PAIR = np.random.default_rng(0).integers(0, 255, (40, 48, 4), dtype=np.uint8)


def loaded(key='day/1.png'):
    return dict(img=PAIR.copy(), file_name=key, img_path='v/1.png', ir_path='i/1.png', gt_bboxes='kept')


def test_it_says_what_it_did():
    results = CorruptPair('pair/shift', 2, seed=3, moved='infrared')(loaded())
    seed = pair_seed(3, 'pair/shift', 2, 'day/1.png')
    expected, drawn = corrupt(PAIR, 'pair/shift', 2, seed, 'infrared')
    assert np.array_equal(results['img'], expected) and results['gt_bboxes'] == 'kept'
    digest = hashlib.sha256(expected.tobytes()).hexdigest()
    assert results['corruption'] == dict(name='pair/shift', severity=2, seed=seed, **drawn, sha256=digest)
    assert abs(drawn['dx'] + drawn['dy']) == 4


def test_severity_0_changes_nothing():
    results = CorruptPair('infrared/stripes', 0)(loaded())
    assert np.array_equal(results['img'], PAIR)
    assert results['corruption']['sha256'] == hashlib.sha256(PAIR.tobytes()).hexdigest()


def test_the_mean_of_a_missing_image_is_the_config_s():
    results = CorruptPair('missing/visible_mean', 1, mean=[1, 2, 3, 4], std=[1, 1, 1, 1])(loaded())
    assert results['img'][5, 5, :3].tolist() == [1, 2, 3]


def test_a_late_image_is_that_of_an_earlier_pair():
    late = DelayImage('infrared', 2, {'c.png': ('a.png', 'i/a.png')})
    results = late(loaded('c.png'))
    assert (results['img_path'], results['ir_path']) == ('v/1.png', 'i/a.png')
    assert results['corruption'] == dict(name='pair/delay', severity=2, image='infrared', of='a.png')
    first = late(loaded('a.png'))
    assert first['ir_path'] == 'i/1.png' and first['corruption']['of'] == 'a.png'


def test_its_step_stands_behind_the_loading():
    names = ('pack', 'resize', 'corruption', 'infrared', 'visible')
    steps = list_steps({name: dict(type=name) for name in names})
    assert [step['type'] for step in steps] == ['visible', 'infrared', 'corruption', 'resize', 'pack']


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(corruption='fog', severity=1), "no corruption 'fog'"),
        (
            dict(corruption='missing/visible_zeros', severity=2),
            'visible_zeros has the severities 0 to 1, got 2',
        ),
        (
            dict(corruption='pair/shift', severity=1, moved='ir'),
            'moved must be one of visible, infrared, got',
        ),
        (dict(corruption='pair/shift', severity=1, mean=[1, 2, 3]), 'wanted mean and std of B, G, R, IR'),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(InputError, match=message):
        CorruptPair(**settings)


def test_bad_images_and_modalities():
    with pytest.raises(InputError, match=r'got \(4, 4, 3\) of uint8; it belongs behind mmslg.LoadInfrared'):
        CorruptPair('pair/shift', 1)(dict(loaded(), img=np.zeros((4, 4, 3), np.uint8)))
    with pytest.raises(InputError, match=r'^v/1.png: fog wants images of .* or choose other corruptions$'):
        CorruptPair('visible/fog', 1)(dict(loaded(), img=PAIR[:31]))
    with pytest.raises(InputError, match="modality must be one of visible, infrared, got 'ir'"):
        DelayImage('ir', 1, {})
