import json

import numpy as np
import pytest

from mmslg.captions.captioners.base import CaptionFailure
from mmslg.captions.captioners.prompt import (
    NEUTRAL,
    PROMPT,
    PROMPT_ID,
    UnusableAnswer,
    interview,
    parse_answer,
    prepare_images,
)
from mmslg.captions.schema import COMPONENTS, VOCABULARY, StructuredCaption

GOOD = dict(
    environment='clear daylight', scene='highway', objects='few pedestrians', thermal='thermal crossover'
)
CAPTION = StructuredCaption(**GOOD)
TEXT = json.dumps(GOOD)


def changed(**values):
    return json.dumps({**GOOD, **values})


def test_prompt_names_keys_and_vocabulary_but_not_the_neutral_phrase():
    for name in COMPONENTS:
        assert f'"{name}": ' in PROMPT
        assert all(phrase in PROMPT for phrase in VOCABULARY[name] if phrase != NEUTRAL)
    assert NEUTRAL in VOCABULARY['objects'] and NEUTRAL not in PROMPT
    assert PROMPT_ID.startswith('1-')


@pytest.mark.parametrize(
    'answer',
    [
        TEXT,
        f'  \n{TEXT}\n',
        f'```json\n{TEXT}\n```',
        f'```\n{json.dumps(GOOD, indent=2)}\n```\n',
        changed(scene='  highway '),
    ],
)
def test_answers_that_are_captions(answer):
    assert parse_answer(answer) == CAPTION


@pytest.mark.parametrize(
    ('answer', 'reason'),
    [
        ('', 'not one JSON object'),
        ('It is night.', 'not one JSON object'),
        (f'Here it is: {TEXT}', 'not one JSON object'),
        (f'{TEXT}{TEXT}', 'not one JSON object'),
        (TEXT[:-9], 'not one JSON object'),
        ('[' * 100_000, 'not one JSON object'),
        (TEXT.replace('"scene"', '"environment"'), 'a key comes twice'),
        (f'[{TEXT}]', 'not a JSON object but list'),
        ('{}', 'the keys are none'),
        (changed(confidence='high'), 'the keys are environment, scene, objects, thermal, confidence'),
        (TEXT.replace('thermal"', 'heat"'), 'the keys are environment, scene, objects, heat'),
        (changed(scene=None), "'scene' is not text"),
        (changed(scene=['highway']), "'scene' is not text"),
        (changed(scene=' '), "'scene' has no words"),
        (changed(scene='...'), "'scene' has no words"),
        (changed(scene='x' * 401), "'scene': 401 characters"),
        (changed(scene='a\nb'), 'control characters'),
        (changed(scene='a\x00b'), 'control characters'),
        (changed(scene='a\u202eb'), 'control characters'),
        (changed(scene='a\ud800b'), 'control characters'),
        (changed(scene='<b>highway</b>'), 'markup'),
        (changed(scene='<script>alert(1)</script>'), 'markup'),
        (changed(scene='highway &lt;b&gt;'), 'markup'),
        (changed(scene='see https://a.b'), 'markup'),
        (changed(scene='javascript:alert(1)'), 'markup'),
        (changed(scene='{{ 7 * 7 }}'), 'markup'),
        (changed(objects='Unspecified Objects'), 'says nothing'),
    ],
)
def test_answers_that_are_none(answer, reason):
    with pytest.raises(UnusableAnswer, match=reason) as caught:
        parse_answer(answer)
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()
    assert caught.value.answer == answer[:1000]


def test_interview_complains_and_asks_only_those_whose_answer_was_unusable():
    script = {
        0: [TEXT],
        1: ['night <|image_pad|>', f'```json\n{TEXT}\n```'],
        2: ['no', 'no', 'never'],
        3: [CaptionFailure('gone')],
        4: [UnusableAnswer('garbage'), TEXT],
    }
    rounds = []

    def ask(asked, turns):
        rounds.append({i: list(each) for i, each in zip(asked, turns, strict=True)})
        return [script[i].pop(0) for i in asked]

    results = interview(ask, 5, attempts=3)
    assert [sorted(each) for each in rounds] == [[0, 1, 2, 3, 4], [1, 2, 4], [2]]
    assert rounds[0] == {i: [('user', PROMPT)] for i in range(5)}
    question, answer, complaint = rounds[1][1]
    assert question == ('user', PROMPT) and answer == ('assistant', 'night < |image_pad|>')
    assert complaint[0] == 'user' and complaint[1].startswith(
        'This answer cannot be used: it is not one JSON'
    )
    assert rounds[1][4] == [('user', PROMPT)]  # what a broken server said is not held against the model
    assert len(rounds[2][2]) == 5
    assert results[0] == results[1] == results[4] == CAPTION
    assert isinstance(results[2], UnusableAnswer) and results[2].answer == 'never'
    assert str(results[3]) == 'gone'


def test_images_are_bounded_and_of_8_bits():
    visible, infrared = prepare_images(
        np.zeros((100, 200, 3), np.uint8), np.arange(100, dtype=np.uint16).reshape(10, 10) + 7000, 5000
    )
    assert visible.shape == (50, 100, 3)
    assert infrared.shape == (10, 10, 3) and infrared.dtype == np.uint8
    assert infrared.min() == 0 and infrared.max() == 255
