from collections import Counter

import pytest

from mmslg.conversion.pairs.yolo import YoloBox, find_names, names_of, parse_yolo, plain, to_pixels
from mmslg.errors import InputError

NAMES = ('person', 'car', 'bicycle')
UPRIGHT = '1 0.5 0.25 0.2 0.1\n'
CORNERS = '0 0.1 0.2 0.3 0.2 0.3 0.4 0.1 0.4\n'


def parsed(path, text, size=(640, 512)):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    notes = Counter()
    return [to_pixels(path, item, NAMES, size, notes) for item in parse_yolo(path)], notes


def test_boxes_in_pixels(tmp_path):
    boxes, notes = parsed(tmp_path / 'a.txt', UPRIGHT + '\r\n' + CORNERS + '2.0\t1e-1 .5  0.1 0.1')
    assert [b.name for b in boxes] == ['car', 'person', 'bicycle']
    assert boxes[0].points == (256, 102.4, 384, 153.6)  # 0.5 -+ 0.1 of 640, 0.25 -+ 0.05 of 512
    assert boxes[1].points == (64, 102.4, 192, 102.4, 192, 204.8, 64, 204.8)
    assert boxes[2].points == (32, 230.4, 96, 281.6)
    assert not notes


@pytest.mark.parametrize('text', ['', '\n', ' \r\n\n', '\ufeff'])
def test_an_empty_file_is_an_image_without_objects(tmp_path, text):
    assert parsed(tmp_path / 'a.txt', text) == ([], Counter())


def test_lines_are_counted_as_an_editor_does(tmp_path):
    (tmp_path / 'a.txt').write_text('\n' + UPRIGHT + '\n' + CORNERS)
    items = parse_yolo(tmp_path / 'a.txt')
    assert items[0] == YoloBox(2, 1, (0.5, 0.25, 0.2, 0.1)) and items[1].line == 4
    assert [item.oriented for item in items] == [False, True]


BAD_LINES = {
    'no values': ('car', r'line 2 has 1 values, wanted 5 .* or 9'),
    'four values': ('0 0.5 0.5 0.1', r'line 2 has 4 values'),
    'a score': ('0 0.5 0.5 0.1 0.1 0.93', r'line 2 has 6 values.*a sixth value is a score'),
    'a polygon': ('0 0.1 0.1 0.2 0.1 0.2 0.2', r'line 2 has 7 values.*polygon of a segmentation'),
    'a long polygon': ('0' + ' 0.1' * 20, r'line 2 has 21 values.*polygon'),
    'eight values': ('0' + ' 0.1' * 7, r'line 2 has 8 values'),
    'commas': ('0,0.5,0.5,0.1,0.1', r'line 2 has 1 values'),
    'a name for the class': ('car 0.5 0.5 0.1 0.1', r"line 2: the class should be a number, got 'car'"),
    'a negative class': (
        '-1 0.5 0.5 0.1 0.1',
        r"line 2: the class should be a whole number from 0, got '-1'",
    ),
    'half a class': ('0.5 0.5 0.5 0.1 0.1', r'line 2: the class should be a whole number'),
    'a class without name': (
        '3 0.5 0.5 0.1 0.1',
        r"line 2: class number 3, but there are only 3 names .*'bicycle'",
    ),
    'a huge class': ('99999999999 0.5 0.5 0.1 0.1', r'line 2: the class is .*wanted at most'),
    'no number': ('0 0.5 x 0.1 0.1', r"line 2: a coordinate should be a number, got 'x'"),
    'nan': ('0 nan 0.5 0.1 0.1', r"line 2: a coordinate should be a number, got 'nan'"),
    'inf': ('0 0.5 0.5 inf 0.1', r'line 2: a coordinate should be a number'),
    'hexadecimal': ('0 0x1 0.5 0.1 0.1', r'line 2: a coordinate should be a number'),
    'pixels': ('0 320 256 40 80', r'line 2: coordinate 320, wanted 0 to 1'),
    'beyond the tolerance': ('0 1.02 0.5 0.1 0.1', r'line 2: coordinate 1.02, wanted 0 to 1'),
    'below zero': ('0 0.5 -0.02 0.1 0.1', r'line 2: coordinate -0.02, wanted 0 to 1'),
    'a negative width': ('0 0.5 0.5 -0.2 0.1', r'line 2: coordinate -0.2'),
    'corners far outside': ('0 0.9 0.9 1.6 0.9 1.6 1 0.9 1', r'line 2: coordinate 1.6, wanted 0 to 1'),
}


@pytest.mark.parametrize('case', BAD_LINES)
def test_bad_lines(tmp_path, case):
    line, message = BAD_LINES[case]
    with pytest.raises(InputError, match=rf'a\.txt: {message}') as caught:
        parsed(tmp_path / 'a.txt', UPRIGHT + line + '\n')
    assert '\n' not in str(caught.value)


BAD_FILES = {
    'no text': (b'\xff\xd8\xff\xe0' * 20, 'not UTF-8 text at byte 0'),
    'NUL': (b'0 0.5 0.5\0 0.1 0.1' + b' ' * 60, 'NUL characters'),
    'blank but large': (b' ' * 5000, 'the file is empty'),
}


@pytest.mark.parametrize('case', BAD_FILES)
def test_bad_files(tmp_path, case):
    data, message = BAD_FILES[case]
    with pytest.raises(InputError, match=rf'a\.txt: .*{message}'):
        parsed(tmp_path / 'a.txt', data)


def test_rounding_is_set_to_the_limit_and_counted(tmp_path):
    text = '0 1.005 0.5 0.1 0.1\n0 0.5 -0.01 0.1 0.2\n1 0.5 0.5 1.0 1.0\n'
    boxes, notes = parsed(tmp_path / 'a.txt', text, (100, 100))
    assert [b.points for b in boxes] == [(95, 45, 105, 55), (45, -10, 55, 10), (0, 0, 100, 100)]
    assert notes == {'boxes with values up to 0.01 outside [0, 1], set to the limit': 2}


def test_the_last_written_digit_moves_no_edge_out_of_the_image(tmp_path):
    # 0.999219 + 0.001563 / 2 is 1.0000005
    boxes, notes = parsed(tmp_path / 'a.txt', '0 0.999219 0.5 0.001563 0.5', (640, 512))
    assert boxes[0].points[2] == 640 and not notes


def test_all_the_digits_of_a_double_are_read(tmp_path):
    boxes, _ = parsed(tmp_path / 'a.txt', '0 0.48593750000000002 5.0000000000000000e-01 0.1 0.1', (640, 512))
    assert boxes[0].points == (279, 230.4, 343, 281.6)


def test_corners_may_cross_the_edge(tmp_path):
    boxes, _ = parsed(tmp_path / 'a.txt', '0 0.9 0.9 1.4 0.9 1.4 1 0.9 1', (100, 100))
    assert boxes[0].points == (90, 90, 140, 90, 140, 100, 90, 100)


@pytest.mark.parametrize(
    ('text', 'names'),
    [
        ('names: [person, car, bicycle]', NAMES),
        ('nc: 3\nnames:\n  0: person\n  1: car\n  2: bicycle\n', NAMES),
        ('names: {2: bicycle, 0: person, 1: car}', NAMES),
        ("names: {'1': car, '0': person}", ('person', 'car')),
        ('# comment\nnames:\n- person\n- 7\n', ('person', '7')),
        ('\ufeffnames: [freight car, "yes"]', ('freight car', 'yes')),
    ],
)
def test_names_of_a_yaml_file(tmp_path, text, names):
    (tmp_path / 'data.yaml').write_text(text, encoding='utf-8')
    assert find_names(tmp_path, ['data.yaml'])[0].names == names


BOMB = (
    'a: &a [x, x]\n'
    + ''.join(
        f'{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n'
        for a, b in zip('abcdefghijkl', 'bcdefghijklm')
    )
    + 'names: [*m]'
)
BAD_NAMES = {
    'a gap': ('names: {0: person, 2: car}', 'numbered from 0 without a gap'),
    'keys of text': ('names: {person: 0, car: 1}', 'numbered from 0 without a gap'),
    'one text': ('names: person', 'a list or a mapping'),
    'nothing': ('names:', 'a list or a mapping'),
    'an empty list': ('names: []', 'no class names'),
    'yes': ('names: [person, no]', r'False is no class name; put it in quotes'),
    'a list inside': ('names: [person, [car]]', 'is no class name'),
    'twice': ('names: [person, car, person]', "class 'person' is named twice"),
    'twice in two spellings': ('names: [freight car, Freight_Car]', "class 'Freight_Car' is named twice"),
    'a huge number': (f'names: [0x{"f" * 9000}]', 'a huge number is no class name'),
    'a huge key': (f'names:\n  ? 0x{"f" * 9000}\n  : car', 'numbered from 0 without a gap'),
    'a huge count': (f'nc: 0x{"f" * 9000}\nnames: [car]', 'nc is a huge number, but names holds 1'),
    'aliases that blow up': (BOMB, 'a list is no class name'),
    'a list of itself': ('names: &a [*a]', 'a list is no class name'),
    'another count': ('nc: 4\nnames: [person, car]', 'nc is 4, but names holds 2'),
    'no YAML': ('names: [person, car', 'not valid YAML'),
    'a tag': ('names: !!python/object/apply:os.system ["true"]', 'not valid YAML'),
    'deep': ('names: ' + '[' * 5000, 'not valid YAML'),
    'a long name': (f'names: [{"a" * 99}]', 'is no class name'),
    'a control character': ('names: ["a\\tb\\e"]', 'is no class name'),
}


@pytest.mark.parametrize('case', BAD_NAMES)
def test_bad_names(tmp_path, case):
    text, message = BAD_NAMES[case]
    (tmp_path / 'data.yaml').write_text(text)
    with pytest.raises(InputError, match=rf'data\.yaml: .*{message}') as caught:
        find_names(tmp_path, ['data.yaml'])
    assert '\n' not in str(caught.value)


def test_other_yaml_files_do_not_count(tmp_path):
    (tmp_path / 'args.yaml').write_text('model: x.pt')
    (tmp_path / 'broken.yml').write_text('a: [')
    (tmp_path / 'classes.txt').write_text('person\n\ncar\r\n')
    found = find_names(tmp_path, ['args.yaml', 'broken.yml', 'classes.txt', 'labels/0001.txt'])
    assert [(f.path, f.names) for f in found] == [('classes.txt', ('person', 'car'))]


def test_the_nearest_names_count(tmp_path):
    for folder, text in (('', '[a, b]'), ('ir', '[b, a]'), ('ir/deep', '[c]')):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / 'data.yaml').write_text(f'names: {text}')
    found = find_names(tmp_path, ['data.yaml', 'ir/data.yaml', 'ir/deep/data.yaml'])
    assert names_of(tmp_path, 'rgb/labels/1.txt', found) == ('a', 'b')
    assert names_of(tmp_path, 'ir/labels/1.txt', found) == ('b', 'a')
    assert names_of(tmp_path, 'irregular/1.txt', found) == ('a', 'b')
    (tmp_path / 'other.yaml').write_text('names: [b, a]')
    found = find_names(tmp_path, ['data.yaml', 'other.yaml'])
    with pytest.raises(InputError, match=r'data\.yaml and other\.yaml name other classes.*--names'):
        names_of(tmp_path, 'labels/1.txt', found)


def test_spellings():
    assert plain('Freight_Car') == plain(' freight-car') == plain('freight  car') == 'freight car'
