import json

import pytest

from mmslg.captions.schema import (
    COMPONENTS,
    MAX_LENGTH,
    VOCABULARY,
    CaptionRecord,
    StructuredCaption,
    image_key,
    read_captions,
    time_of_day,
    write_captions,
)
from mmslg.errors import InputError

CAPTION = StructuredCaption('dimly lit night', 'urban street', 'few pedestrians', 'high thermal contrast')


def record(name, **extra):
    return CaptionRecord(name, CAPTION, 'photometric', '1', extra)


def test_components_keep_the_order_of_the_equation():
    assert COMPONENTS == ('environment', 'scene', 'objects', 'thermal')
    assert CAPTION.components() == (
        'dimly lit night',
        'urban street',
        'few pedestrians',
        'high thermal contrast',
    )
    assert StructuredCaption.from_dict(CAPTION.to_dict()) == CAPTION


def test_vocabulary_covers_every_component_with_valid_distinct_phrases():
    assert tuple(VOCABULARY) == COMPONENTS
    for name, phrases in VOCABULARY.items():
        assert len(set(phrases)) == len(phrases) > 1
        for phrase in phrases:
            StructuredCaption(**{**CAPTION.to_dict(), name: phrase})


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', "'scene' is blank"),
        ('  ', "'scene' is blank"),
        ('two\nlines', "'scene': wanted a single line"),
        ('two\u2028lines', "'scene': wanted a single line"),
        ('x' * (MAX_LENGTH + 1), f"'scene': {MAX_LENGTH + 1} characters"),
        (None, "'scene': wanted text, got NoneType"),
    ],
)
def test_invalid_component_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        StructuredCaption('clear daylight', text, 'few pedestrians', 'thermal crossover')


def test_missing_components_are_named():
    with pytest.raises(InputError, match='missing: objects, thermal'):
        StructuredCaption.from_dict({'environment': 'a', 'scene': 'b'})


@pytest.mark.parametrize(
    ('environment', 'wanted'),
    [
        *((phrase, 'night' if 'night' in phrase else 'day') for phrase in VOCABULARY['environment'][:6]),
        ('dimly lit night', 'night'),
        ('A Sunny afternoon', 'day'),
        ('dawn or dusk', None),
        ('a day that looks like night', None),
        ('todays knights', None),
    ],
)
def test_time_of_day(environment, wanted):
    assert time_of_day(StructuredCaption(environment, 'b', 'c', 'd')) == wanted


def test_image_key_is_posix():
    assert image_key('set00\\V000/I1.jpg') == 'set00/V000/I1.jpg'
    for bad in ('', ' ', 'a\nb', None):
        with pytest.raises(InputError, match='wanted a file name'):
            image_key(bad)


def test_records_survive_a_round_trip(tmp_path):
    records = [record('b.jpg', prompt='übrigens "x"'), record('a/ä.jpg')]
    path = tmp_path / 'new' / 'captions.jsonl'
    write_captions(path, records)
    assert list(read_captions(path).values()) == records
    first = json.loads(path.read_text(encoding='utf-8').splitlines()[0])
    assert list(first) == ['file_name', *COMPONENTS, 'captioner', 'version', 'prompt']


GOOD = json.dumps(record('a.jpg').to_dict())
BROKEN = {
    '{"file_name": "b.jpg"': 'line 2: not valid JSON',
    '[1]': 'line 2: wanted an object',
    '\xff': 'line 2: not UTF-8',
    json.dumps({**json.loads(GOOD), 'version': 1}): "line 2: wanted text in the field 'version', got 1",
    json.dumps({**json.loads(GOOD), 'thermal': ''}): "line 2: caption component 'thermal' is blank",
    GOOD: r'line 2: a\.jpg was in line 1 already',
}


@pytest.mark.parametrize(('line', 'message'), BROKEN.items())
def test_broken_line_is_named_with_its_file(tmp_path, line, message):
    path = tmp_path / 'captions.jsonl'
    path.write_bytes(f'{GOOD}\n{line}\n'.encode('latin-1'))
    with pytest.raises(InputError, match=rf'captions\.jsonl, {message}'):
        read_captions(path)


def test_missing_and_empty_files_are_refused(tmp_path):
    with pytest.raises(InputError, match='no such file'):
        read_captions(tmp_path / 'captions.jsonl')
    (tmp_path / 'captions.jsonl').write_text('\n\n')
    with pytest.raises(InputError, match='holds no captions'):
        read_captions(tmp_path / 'captions.jsonl')


def test_duplicates_are_not_written_and_the_old_file_stays(tmp_path):
    path = tmp_path / 'captions.jsonl'
    write_captions(path, [record('old.jpg')])
    with pytest.raises(InputError, match='two captions'):
        write_captions(path, [record('a.jpg'), record('a.jpg')])
    assert list(read_captions(path)) == ['old.jpg']
    assert [entry.name for entry in tmp_path.iterdir()] == ['captions.jsonl']
