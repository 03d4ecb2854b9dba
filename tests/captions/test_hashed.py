import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from mmslg.captions.building import build_captioner, build_text_encoder
from mmslg.captions.captioners.photometric import PhotometricCaptioner
from mmslg.captions.encoders.hashed import HashedTextEncoder
from mmslg.errors import InputError


def place(feature, width):
    code = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), 'little')
    return (code >> 1) % width, 1 if code & 1 else -1


def test_vector_of_one_word_by_hand():
    wanted = np.zeros(512)
    grams = ['<at', 'at>', '<at>']  # '<at>' has two groups of 3 letters and one of 4
    for feature, weight in [('w:at', 1), *((f'c:{gram}', 0.5 / np.sqrt(3)) for gram in grams)]:
        index, sign = place(feature, 512)
        wanted[index] += sign * weight
    wanted /= np.linalg.norm(wanted)
    np.testing.assert_allclose(HashedTextEncoder(512).encode(['At'])[0], wanted, rtol=1e-6)


def test_vectors_never_change():
    vector = HashedTextEncoder(512).encode(['night'])[0]
    assert np.flatnonzero(vector).tolist() == [21, 54, 118, 181, 322, 328, 337, 408, 504]
    assert vector[118] == pytest.approx(0.87518996) and vector[21] == pytest.approx(0.29173)


@pytest.mark.parametrize('width', [8, 64, 512])
def test_shape_and_length(width):
    encoder = HashedTextEncoder(width)
    vectors = encoder.encode(['dimly lit night', '...', 'ночь', 'a'])
    assert vectors.shape == (4, width) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert (encoder.model, encoder.width, encoder.pooling) == (f'hashed-v1/{width}', width, 'pooled')
    assert encoder.encode([]).shape == (0, width)


def test_shared_words_are_near():
    base, shared, variant, other = HashedTextEncoder().encode(
        ['dimly lit night', 'very dark night', 'dimly lit nights', 'clear daylight']
    )
    assert base @ shared > base @ other + 0.15
    assert base @ variant > 0.6
    assert abs(base @ other) < 0.2


def test_processes_agree():
    code = (
        'from mmslg.captions.encoders.hashed import HashedTextEncoder as H;'
        "print(H(64).encode(['foggy night']).tobytes().hex())"
    )
    outputs = [
        subprocess.run(
            [sys.executable, '-c', code],
            env={**os.environ, 'PYTHONHASHSEED': seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ('1', '2')
    ]
    assert outputs == [HashedTextEncoder(64).encode(['foggy night']).tobytes().hex()] * 2


def test_small_width_is_refused():
    with pytest.raises(InputError, match='width of at least 8, got 4'):
        HashedTextEncoder(4)


def test_names_find_classes():
    assert isinstance(build_captioner('photometric'), PhotometricCaptioner)
    assert build_text_encoder('hashed', width=32).width == 32
    with pytest.raises(InputError, match=r"no captioner is called 'x'; there are: .*photometric"):
        build_captioner('x')
    with pytest.raises(InputError, match=r"no text encoder is called 'x'; there are: .*hashed"):
        build_text_encoder('x')
    with pytest.raises(InputError, match=r"captioner 'photometric': .*'width'"):
        build_captioner('photometric', width=3)
