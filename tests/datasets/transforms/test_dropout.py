import numpy as np
import pytest

from mmslg.datasets.transforms import DropModality
from mmslg.errors import InputError


def sample():
    img = np.arange(1, 2 * 3 * 4 + 1, dtype=np.uint8).reshape(2, 3, 4)
    return dict(img=img)


def drop(monkeypatch, missing, which, **options):
    """Drop with known random numbers; return what was dropped and which channels are plain."""
    monkeypatch.setattr(np.random, 'rand', lambda number: np.array([missing, which]))
    before = sample()
    out = DropModality(**options)(dict(before))
    assert np.array_equal(before['img'], sample()['img'])  # the caller's image stays
    fill = options.get('fill', 0)
    changed = [c for c in range(4) if (out['img'][..., c] == fill).all()]
    kept = [c for c in range(4) if c not in changed]
    assert np.array_equal(out['img'][..., kept], before['img'][..., kept]) and out['img'].dtype == np.uint8
    return out['dropped'], changed


@pytest.mark.parametrize(
    ('numbers', 'expected'),
    [
        ((0.29, 0.49), ('rgb', [0, 1, 2])),
        ((0.29, 0.5), ('ir', [3])),
        ((0.3, 0.1), (None, [])),
    ],
)
def test_one_image_or_none(monkeypatch, numbers, expected):
    assert drop(monkeypatch, *numbers) == expected


def test_options(monkeypatch):
    assert drop(monkeypatch, 0.99, 0.0, prob=1.0, rgb_share=0.0, fill=128) == ('ir', [3])
    assert drop(monkeypatch, 0.0, 0.0, prob=0.0) == (None, [])


def test_shares_over_many_samples():
    np.random.seed(0)
    transform = DropModality(prob=0.4, rgb_share=0.25)
    dropped = [transform(sample())['dropped'] for _ in range(4000)]
    assert dropped.count('rgb') / 4000 == pytest.approx(0.1, abs=0.02)
    assert dropped.count('ir') / 4000 == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize('options', [dict(prob=1.1), dict(rgb_share=-0.1), dict(fill=256)])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(InputError, match='DropModality wants prob and rgb_share from 0 to 1'):
        DropModality(**options)


def test_three_channels_are_refused():
    with pytest.raises(InputError, match=r'it belongs behind mmslg\.LoadInfrared'):
        DropModality()(dict(img=np.zeros((2, 3, 3), np.uint8), ir_path='x.png'))
