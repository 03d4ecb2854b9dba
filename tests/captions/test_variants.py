import pytest

from mmslg.captions.schema import MAX_LENGTH, StructuredCaption
from mmslg.captions.variants import rewrite, sentence, shuffled_partners
from mmslg.errors import InputError

NIGHT = StructuredCaption('dimly lit night', 'highway', 'few cars', 'high thermal contrast')
DAY = StructuredCaption('clear daylight.', 'urban street', 'dense vehicles', 'thermal crossover')
CAPTIONS = {'a.jpg': NIGHT, 'b.jpg': DAY, 'c.jpg': NIGHT, 'd.jpg': DAY, 'e.jpg': NIGHT}
SENTENCE = 'The pair of images shows highway with few cars in dimly lit night and high thermal contrast.'


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
