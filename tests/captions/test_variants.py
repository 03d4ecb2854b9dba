import pickle

import numpy as np
import pytest
import torch

from mmslg.captions.hashed import HashedTextEncoder
from mmslg.captions.schema import MAX_LENGTH, StructuredCaption
from mmslg.captions.store import CaptionStore, write_store
from mmslg.captions.variants import STORE_VARIANTS, VARIANTS, rewrite, sentence, shuffled_partners
from mmslg.datasets import LoadCaptionEmbedding
from mmslg.errors import InputError

NIGHT = StructuredCaption('dimly lit night', 'highway', 'few cars', 'high thermal contrast')
DAY = StructuredCaption('clear daylight.', 'urban street', 'dense vehicles', 'thermal crossover')
CAPTIONS = {'a.jpg': NIGHT, 'b.jpg': DAY, 'c.jpg': NIGHT, 'd.jpg': DAY, 'e.jpg': NIGHT}
SENTENCE = 'The pair of images shows highway with few cars in dimly lit night and high thermal contrast.'


@pytest.fixture
def stores(tmp_path):
    """A store of every form, by variant."""
    paths = {}
    for variant in STORE_VARIANTS:
        paths[variant] = str(tmp_path / variant)
        captions = rewrite(CAPTIONS, variant, ('person', 'car') if variant == 'class_names' else ())
        write_store(paths[variant], captions, HashedTextEncoder(16), variant=variant)
    return paths


def text_of(loader, key):
    return loader({'file_name': key})['text']


def test_forms_of_the_text():
    assert rewrite(CAPTIONS, 'structured') == CAPTIONS
    assert rewrite(CAPTIONS, 'free_form')['a.jpg'].components() == (SENTENCE,) * 4
    assert rewrite(CAPTIONS, 'free_form')['b.jpg'].scene.endswith('clear daylight and thermal crossover.')
    names = rewrite(CAPTIONS, 'class_names', ['person', 'car'])
    assert {caption.components() for caption in names.values()} == {('person, car',) * 4}
    assert list(names) == list(CAPTIONS)


def test_a_sentence_too_long_ends_at_a_word():
    long = StructuredCaption('night ' * 60, 'open scene ' * 20, 'few cars', 'contrast')
    text = sentence(long)
    assert len(text) <= MAX_LENGTH and text.startswith('The pair of images shows open scene open')
    assert text.rsplit(' ', 1)[1] in ('open', 'scene', 'night')
    assert len(sentence(StructuredCaption('x' * 400, 'x' * 400, 'a', 'b'))) <= MAX_LENGTH


@pytest.mark.parametrize(
    ('variant', 'classes', 'message'),
    [
        ('class_names', (), 'needs the names of the classes: --classes'),
        ('free_form', ('car',), '--classes belongs to the variant class_names, not to free_form'),
        ('shuffled', (), "variant must be one of structured, free_form, class_names, got 'shuffled'"),
    ],
)
def test_rewriting_refuses(variant, classes, message):
    with pytest.raises(InputError, match=message):
        rewrite(CAPTIONS, variant, classes)


@pytest.mark.parametrize('num', [2, 3, 7, 100])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_nobody_keeps_their_own_and_all_are_given_once(num, seed):
    keys = [f'{number}.jpg' for number in range(num)]
    partners = shuffled_partners(keys, seed)
    assert sorted(partners) == sorted(partners.values()) == sorted(keys)
    assert all(key != other for key, other in partners.items())
    assert shuffled_partners(reversed(keys), seed) == partners


def test_seeds_shuffle_differently_and_one_pair_cannot_be_shuffled():
    keys = [str(number) for number in range(50)]
    assert shuffled_partners(keys, 0) != shuffled_partners(keys, 1)
    with pytest.raises(InputError, match='at least two captioned pairs, got 1'):
        shuffled_partners(['a'])


def test_shuffled_gives_the_caption_of_the_partner(stores):
    loader = LoadCaptionEmbedding(stores['structured'], variant='shuffled', seed=3)
    partners = shuffled_partners(CAPTIONS, 3)
    store = CaptionStore.open(stores['structured'])
    for key, other in partners.items():
        np.testing.assert_array_equal(text_of(loader, key), store[other])
        assert loader.caption(key) == CAPTIONS[other]
    again = pickle.loads(pickle.dumps(loader))
    assert all(torch.equal(text_of(again, key), text_of(loader, key)) for key in CAPTIONS)
    loader.check_pairs(CAPTIONS)
    with pytest.raises(InputError, match=r'no caption for image z\.jpg'):
        text_of(loader, 'z.jpg')
    with pytest.raises(InputError, match=r'no caption for image z\.jpg'):
        loader.check_pairs(['z.jpg'])


def test_shuffled_over_several_stores(tmp_path):
    halves = [dict(list(CAPTIONS.items())[:2]), dict(list(CAPTIONS.items())[2:])]
    for name, half in zip('xy', halves):
        write_store(tmp_path / name, half, HashedTextEncoder(16))
    loader = LoadCaptionEmbedding([str(tmp_path / 'x'), str(tmp_path / 'y')], variant='shuffled')
    partners = shuffled_partners(CAPTIONS, 0)
    assert {key: loader.caption(key) for key in CAPTIONS} == {k: CAPTIONS[o] for k, o in partners.items()}


def test_none_is_zeros_of_the_same_shape(stores):
    loader = LoadCaptionEmbedding(stores['structured'], variant='none')
    text = text_of(loader, 'a.jpg')
    assert text.shape == (4, 16) and not text.any() and loader.caption('a.jpg') is None
    assert text_of(LoadCaptionEmbedding(stores['structured']), 'a.jpg').any()
    with pytest.raises(InputError, match='no caption for image'):
        text_of(loader, 'z.jpg')


def test_every_variant_is_one_word(stores):
    for variant, needed in VARIANTS.items():
        loader = LoadCaptionEmbedding(stores[needed], variant=variant)
        assert text_of(loader, 'b.jpg').shape == (4, 16)
    sentences = LoadCaptionEmbedding(stores['free_form'], variant='free_form')
    assert sentences.caption('a.jpg').objects == SENTENCE
    assert torch.equal(text_of(sentences, 'a.jpg')[0], text_of(sentences, 'a.jpg')[3])


@pytest.mark.parametrize(
    ('held', 'options', 'message'),
    [
        (
            'free_form',
            {},
            r"variant='structured' wants a store of structured captions, this one holds free_form",
        ),
        ('structured', {'variant': 'free_form'}, r'encode\.py --variant free_form, or say variant='),
        ('class_names', {'variant': 'shuffled'}, r'wants a store of structured captions'),
        ('structured', {'variant': 'odd'}, "variant must be one of structured, .*, got 'odd'"),
        (
            'structured',
            {'width': 512},
            r'wants pooled captions of width 512, .* pooled ones of width 16',
        ),
        ('structured', {'pooling': 'tokens'}, r'wants tokens captions of width 16, the store holds pooled'),
    ],
)
def test_a_store_that_does_not_fit_is_refused_when_the_pipeline_is_built(stores, held, options, message):
    with pytest.raises(InputError, match=message) as caught:
        LoadCaptionEmbedding(stores[held], **options)
    assert '\n' not in str(caught.value)


def test_a_store_that_fits_and_no_store(stores):
    LoadCaptionEmbedding(stores['structured'], width=16, pooling='pooled')
    with pytest.raises(InputError, match='got no store'):
        LoadCaptionEmbedding([])


def test_stores_of_two_models_are_not_mixed(tmp_path):
    for name, model in (('x', 'hashed-v1/16'), ('y', 'other')):
        encoder = HashedTextEncoder(16)
        encoder.model = model
        write_store(tmp_path / name, {f'{name}.jpg': DAY}, encoder)
    with pytest.raises(InputError, match='come from different encoders'):
        LoadCaptionEmbedding([str(tmp_path / 'x'), str(tmp_path / 'y')])
