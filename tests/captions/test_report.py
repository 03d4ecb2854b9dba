import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from captions.annotated import pairs_of, write_annotations

from mmslg.captions.journal import FailedPair, read_failures
from mmslg.captions.report import compare, format_summary, summarise, top
from mmslg.captions.schema import CaptionRecord, StructuredCaption, one_line, write_captions
from mmslg.errors import InputError
from mmslg.visualization.captions import choose_pairs, draw_summary

ROOT = Path(__file__).parents[2]
DAY = StructuredCaption('clear daylight', 'open scene', 'few pedestrians', 'thermal crossover')
NIGHT = StructuredCaption('dimly lit night', 'open scene', 'two cows', 'thermal crossover')
DUSK = StructuredCaption('dawn or dusk', 'open scene', 'few pedestrians', 'thermal crossover')
TIMES = {'0.png': 'day', '1.png': 'day', '2.png': 'night', '3.png': 'night', '4.png': None, 'x.png': 'day'}


def records_of(*captions):
    return {f'{i}.png': CaptionRecord(f'{i}.png', c, 'qwen', '7b') for i, c in enumerate(captions)}


RECORDS = records_of(DAY, NIGHT, NIGHT, DUSK, DAY, DAY)


def test_confusion_by_hand():
    compared = compare(RECORDS, TIMES)
    assert compared['confusion'] == {
        'day': {'day': 1, 'night': 1, 'neither': 0},
        'night': {'day': 0, 'night': 1, 'neither': 1},
    }
    assert compared['agreement'] == 0.5 and compared['disagreeing'] == ['1.png', '3.png']
    assert compared['without_caption'] == ['x.png'] and compared['without_annotation'] == ['5.png']
    assert compare(RECORDS, {'0.png': None})['agreement'] is None


def test_summary_by_hand():
    summary = summarise(RECORDS, TIMES, [FailedPair('x.png', 'no JSON')])
    assert summary['captions'] == 6 and summary['captioners'] == {'qwen 7b': 6}
    assert summary['components']['environment']['phrases'] == {
        'clear daylight': 3,
        'dimly lit night': 2,
        'dawn or dusk': 1,
    }
    assert summary['components']['objects']['outside_vocabulary'] == 2
    assert summary['duplicates']['distinct'] == 3
    assert summary['duplicates']['most_frequent'][0] == {'caption': DAY.to_dict(), 'pairs': 3}
    assert summary['failures'] == [{'file_name': 'x.png', 'reason': 'no JSON'}]
    json.dumps(summary)


def test_table():
    table = format_summary(summarise(RECORDS, TIMES, [FailedPair('x.png', 'no\x1b[2J JSON')]))
    for line in (
        '6 captions by qwen 7b; 3 of them distinct, the most frequent one 3 times',
        'objects: 2 distinct, 2 outside the vocabulary',
        '        3   50.0 %  clear daylight',
        'day or night: 2 of 4 captions agree with the annotations, 50.0 %',
        '  night                   0             1             1',
        '  disagree: 1.png, 3.png',
        '1 pairs failed; the reasons:',
    ):
        assert line in table.splitlines()
    assert '\x1b' not in table
    assert 'none has a time' in format_summary(summarise(RECORDS, {'0.png': None}))
    assert format_summary(summarise(RECORDS)).endswith('no failures recorded')


def test_many_and_long_phrases_are_folded():
    rows = top({f'phrase {i}': 20 - i for i in range(15)}, 12)
    assert rows[0] == ('phrase 0', 20) and rows[-1] == ('(3 others)', 8 + 7 + 6) and len(rows) == 13
    assert len(one_line('word ' * 40)) == 60 and one_line('a\tb\x07') == 'a b'


def test_times_of_annotations(tmp_path):
    images = [{'file_name': 'a\\b.png', 'time': 'night'}, {'file_name': 'c.png'}]
    path = write_annotations(tmp_path / 'a.json', images)
    assert {pair.key: pair.time for pair in pairs_of(path)} == {'a/b.png': 'night', 'c.png': None}
    write_annotations(path, [{'file_name': 'c.png', 'time': 'noon'}])
    with pytest.raises(InputError, match=r"the time of image c\.png should be day, night, .* got 'noon'"):
        pairs_of(path)
    path.write_text('[]')
    with pytest.raises(InputError, match='wanted COCO form with the lists images'):
        pairs_of(path)


def test_failures_beside_the_captions(tmp_path):
    captions = tmp_path / 'captions.jsonl'
    assert read_failures(captions) == []
    failed = tmp_path / 'captions.jsonl.failed.jsonl'
    failed.write_text(
        '{"file_name": "a.png", "failure": "no answer", "answer": ""}\n\n'
        '{"file_name": "b\\\\c.png", "failure": "no JSON", "captioner": "qwen", "version": "7b"}'
    )
    assert read_failures(captions) == [
        FailedPair('a.png', 'no answer'),
        FailedPair('b/c.png', 'no JSON', '', 'qwen', '7b'),
    ]
    for broken in ('{"file_name": "a.png"}', '{"file_name": "a.png", "failure": 3}', '[1]', '{', '3'):
        failed.write_text(broken)
        with pytest.raises(
            InputError, match=r'failed\.jsonl, line 1: (wanted an object with file_name|not valid JSON)'
        ):
            read_failures(captions)


def test_picture_of_phrases_that_look_like_formulas(tmp_path):
    odd = StructuredCaption('$\\frac{1$ odd', 'open scene', '<b>cars</b>', 'x' * 300)
    summary = summarise(records_of(odd, DAY), TIMES, [FailedPair('x.png', '$\\frac')])
    draw_summary(summary, tmp_path / 'd.png')
    picture = cv2.imread(str(tmp_path / 'd.png'))
    assert picture.shape[1] == 1430 and picture.std() > 10
    assert [entry.name for entry in tmp_path.iterdir()] == ['d.png']


class Pair:
    def __init__(self, key):
        self.key = key


def test_pairs_of_the_sheet():
    pairs = [Pair(str(number)) for number in range(100)]
    assert choose_pairs(pairs[:4], [], 4) == pairs[:4]
    keys = [pair.key for pair in choose_pairs(pairs, ['7', '50', '51', '52'], 6)]
    assert keys[:3] == ['7', '50', '51'] and keys[3] == '0' and keys[-1] == '99' and len(set(keys)) == 6


@pytest.fixture
def data(tmp_path):
    for folder in ('visible', 'infrared'):
        (tmp_path / folder).mkdir()
        for name in TIMES:
            level = 200 if folder == 'visible' else 40000
            shape = (40, 60, 3) if folder == 'visible' else (40, 60)
            image = np.full(shape, level, np.uint8 if folder == 'visible' else np.uint16)
            cv2.imwrite(str(tmp_path / folder / name), image)
    images = [{'file_name': name, **({'time': time} if time else {})} for name, time in TIMES.items()]
    write_annotations(tmp_path / 'annotations.json', images, (60, 40))
    write_captions(tmp_path / 'captions.jsonl', RECORDS.values())
    return tmp_path


def run_tool(monkeypatch, *args):
    tool = str(ROOT / 'tools' / 'captions' / 'report.py')
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(tool, run_name='__main__')
    return caught.value.code


def test_tool_writes_table_pictures_and_figures(data, monkeypatch, capsys):
    figures = data / 'figures.json'
    options = '--annotations', data / 'annotations.json', '--num', 3, '--json', figures
    assert run_tool(monkeypatch, data / 'captions.jsonl', *options) == 0
    out = capsys.readouterr().out
    assert '2 of 4 captions agree' in out and 'distribution.png and contact_sheet.png in' in out
    assert {p.name for p in (data / 'captions_report').iterdir()} == {'distribution.png', 'contact_sheet.png'}
    sheet = cv2.imread(str(data / 'captions_report' / 'contact_sheet.png'))
    assert sheet.shape[1] == 2 * (2 * 440 + 30)
    assert json.loads(figures.read_text())['annotated']['agreement'] == 0.5


def test_tool_without_annotations_and_with_nothing_to_report(data, monkeypatch, capsys):
    assert run_tool(monkeypatch, data / 'captions.jsonl', '--out', data / 'o') == 0
    assert [p.name for p in (data / 'o').iterdir()] == ['distribution.png']
    capsys.readouterr()
    for args in (
        (data / 'none.jsonl',),
        (data / 'captions.jsonl', '--num', '-1'),
        (data / 'captions.jsonl', '--out', data / 'annotations.json'),
        (data / 'captions.jsonl', '--annotations', data / 'annotations.json', '--root', data / 'none'),
    ):
        assert run_tool(monkeypatch, *args) == 1
        error = capsys.readouterr().err
        assert error.startswith('error: ') and error.count('\n') == 1
