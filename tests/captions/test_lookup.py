import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mmslg.apis.pair_captions import PairCaptions
from mmslg.captions.encoders.hashed import HashedTextEncoder
from mmslg.captions.lookup import CaptionLookup
from mmslg.captions.schema import StructuredCaption
from mmslg.captions.store import CaptionStore, write_store
from mmslg.captions.store_format import content_hash
from mmslg.captions.variants import STORE_VARIANTS, VARIANTS, rewrite, sentence, shuffled_partners
from mmslg.errors import InputError

NIGHT = StructuredCaption('dimly lit night', 'highway', 'few cars', 'high thermal contrast')
DAY = StructuredCaption('clear daylight.', 'urban street', 'dense vehicles', 'thermal crossover')
CAPTIONS = {'a.jpg': NIGHT, 'b.jpg': DAY, 'c.jpg': NIGHT, 'd.jpg': DAY, 'e.jpg': NIGHT}


@pytest.fixture
def stores(tmp_path):
    """A store of every form, by variant."""
    paths = {}
    for variant in STORE_VARIANTS:
        paths[variant] = str(tmp_path / variant)
        captions = rewrite(CAPTIONS, variant, ('person', 'car') if variant == 'class_names' else ())
        write_store(paths[variant], captions, HashedTextEncoder(16), variant=variant)
    return paths


def test_shuffled_gives_the_caption_of_the_partner(stores):
    lookup = CaptionLookup(stores['structured'], variant='shuffled', seed=3)
    partners = shuffled_partners(CAPTIONS, 3)
    store = CaptionStore.open(stores['structured'])
    for key, other in partners.items():
        np.testing.assert_array_equal(lookup.embedding(key), store[other])
        assert lookup.caption(key) == CAPTIONS[other]
    again = pickle.loads(pickle.dumps(lookup))
    assert all(np.array_equal(again.embedding(key), lookup.embedding(key)) for key in CAPTIONS)
    lookup.check(CAPTIONS)
    for look in (lookup.embedding, lookup.caption, lambda key: lookup.check(['a.jpg', key])):
        with pytest.raises(InputError, match=r'no caption for image z\.jpg'):
            look('z.jpg')


def test_shuffled_over_several_stores(tmp_path):
    halves = [dict(list(CAPTIONS.items())[:2]), dict(list(CAPTIONS.items())[2:])]
    for name, half in zip('xy', halves):
        write_store(tmp_path / name, half, HashedTextEncoder(16))
    lookup = CaptionLookup([str(tmp_path / 'x'), str(tmp_path / 'y')], variant='shuffled')
    partners = shuffled_partners(CAPTIONS, 0)
    assert {key: lookup.caption(key) for key in CAPTIONS} == {k: CAPTIONS[o] for k, o in partners.items()}


def test_none_is_zeros_of_the_same_shape(stores):
    lookup = CaptionLookup(stores['structured'], variant='none')
    text = lookup.embedding('a.jpg')
    assert text.shape == (4, 16) and text.dtype == np.float32
    assert not text.any() and lookup.caption('a.jpg') is None
    assert CaptionLookup(stores['structured']).embedding('a.jpg').any()
    for look in (lookup.embedding, lookup.caption):
        with pytest.raises(InputError, match='no caption for image'):
            look('z.jpg')


def test_constant_is_the_caption_of_the_first_pair_by_name_for_all(tmp_path):
    halves = [{'b.jpg': DAY, 'c.jpg': NIGHT}, {'z.jpg': DAY, 'a.jpg': NIGHT}]
    for name, half in zip('xy', halves):
        write_store(tmp_path / name, half, HashedTextEncoder(16))
    lookup = CaptionLookup([str(tmp_path / 'x'), str(tmp_path / 'y')], variant='constant')
    expected = CaptionStore.open(tmp_path / 'y')['a.jpg']
    for key in ('a.jpg', 'b.jpg', 'z.jpg'):
        assert lookup.caption(key) == NIGHT
        np.testing.assert_array_equal(lookup.embedding(key), expected)
    with pytest.raises(InputError, match=r'no caption for image q\.jpg'):
        lookup.embedding('q.jpg')
    # A pair without a dataset is told the same.
    settings = dict(
        metainfo=dict(classes=('car',)), caption_variant='constant', caption_store=[str(tmp_path / 'y')]
    )
    np.testing.assert_array_equal(PairCaptions(16, settings).embed(DAY), expected)


def test_every_variant_is_one_word(stores):
    for variant, needed in VARIANTS.items():
        lookup = CaptionLookup(stores[needed], variant=variant)
        assert lookup.embedding('b.jpg').shape == lookup.shape == (4, 16)
    sentences = CaptionLookup(stores['free_form'], variant='free_form')
    assert sentences.caption('a.jpg').objects == sentence(NIGHT)
    np.testing.assert_array_equal(*sentences.embedding('a.jpg')[[0, 3]])


@pytest.mark.parametrize(
    ('held', 'variant', 'message'),
    [
        ('free_form', 'structured', "'structured' wants a store of structured captions, .* holds free_form"),
        ('structured', 'free_form', r"encode\.py --variant free_form, or take the variant 'structured'"),
        ('class_names', 'shuffled', r'wants a store of structured captions'),
        ('structured', 'odd', "must be one of structured, .*, got 'odd'"),
    ],
)
def test_a_store_that_does_not_fit_is_refused(stores, held, variant, message):
    with pytest.raises(InputError, match=message) as caught:
        CaptionLookup(stores[held], variant)
    assert '\n' not in str(caught.value)


def test_no_store_is_refused():
    with pytest.raises(InputError, match='got no caption store'):
        CaptionLookup([])


def test_stores_of_two_models_are_not_mixed(tmp_path):
    for name, model in (('x', 'hashed-v1/16'), ('y', 'other')):
        encoder = HashedTextEncoder(16)
        encoder.model = model
        write_store(tmp_path / name, {f'{name}.jpg': DAY}, encoder)
    with pytest.raises(InputError, match='come from different encoders'):
        CaptionLookup([str(tmp_path / 'x'), str(tmp_path / 'y')])


@pytest.mark.parametrize('place', [0.5, 0.9, 1])
def test_a_flipped_bit_is_refused_when_opened(stores, place):
    path = Path(stores['structured'])
    data = bytearray(path.read_bytes())
    data[int(place * len(data)) - 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r'structured: the content does not match its hash; encode'):
        CaptionLookup(str(path))


def test_a_copy_in_a_worker_trusts_the_stores(stores, monkeypatch):
    lookup = CaptionLookup(stores['structured'])
    monkeypatch.setattr(CaptionStore, 'verify', lambda self: pytest.fail('verified in a worker'))
    assert pickle.loads(pickle.dumps(lookup)).embedding('a.jpg').shape == (4, 16)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_embeddings_that_are_not_finite_are_refused(stores, value):
    path = stores['structured']
    tensors, metadata = load_file(path), CaptionStore.open(path)._metadata
    tensors['embeddings'][2, 5] = value
    save_file(tensors, path, {**metadata, 'sha256': content_hash(tensors)})
    with pytest.raises(InputError, match='holds embeddings that are not finite; encode the captions again'):
        CaptionLookup(path)
