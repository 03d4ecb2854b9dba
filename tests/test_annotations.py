"""The reader of the annotation form, and what it says of forms that are broken."""

import json
import math
import re

import pytest
from helpers import TINY, iterations, make_pairs, run_here
from mmengine.config import Config

from mmslg.annotations import ImagePair, are_oriented, check_classes, check_files, read_annotations
from mmslg.errors import InputError

REMOVE = object()


def at(part, field, value, index=0):
    """Return what sets, or removes, a field of an entry."""

    def change(data):
        if value is REMOVE:
            del data[part][index][field]
        else:
            data[part][index][field] = value

    return change


def whole(part, value):
    """Return what sets, or removes, one of the lists."""

    def change(data):
        data[part] = value(data[part]) if callable(value) else value
        if data[part] is REMOVE:
            del data[part]

    return change


def image(field, value, index=0):
    return at('images', field, value, index)


def box(field, value, index=0):
    return at('annotations', field, value, index)


def category(field, value, index=0):
    return at('categories', field, value, index)


def info(**fields):
    return whole('info', lambda info: {**info, **fields})


COCO = 'wanted COCO form with the lists images, annotations and categories'
NO_OBJECT = 'should be an object, got '
WHOLE = 'should be a whole number'
NAME = 'should be a file name, got '
BAD_NAME = 'leads out of its folder or is no plain file name'
BBOX = 'the bbox of annotation 1 should be '
TEXT = 'should be a text of one line, got '
FLAG = 'of annotation 1 should be 0 or 1, got '

REFUSED = {
    # what the file is
    'no JSON': ('{"images": [', 'not valid JSON'),
    'nothing': ('', 'the file is empty'),
    'bytes': (b'\xff\xfe\x00', 'not UTF-8'),
    'a byte-order mark': (b'\xef\xbb\xbf{}', COCO),
    'a list': ('[]', COCO),
    'null': ('null', COCO),
    'nested without end': ('[' * 100_000, 'not valid JSON'),
    'a key twice': ('{"images": [], "images": [1]}', "the key 'images' is given twice in one object"),
    'a huge number': ('{"images": ' + '9' * 5000 + '}', 'not valid JSON'),
    # the lists
    **{
        f'{part} {name}': (whole(part, value), COCO)
        for part in ('images', 'annotations', 'categories')
        for name, value in (('missing', REMOVE), ('null', None), ('an object', {}), ('a text', 'x'))
    },
    'images empty': (whole('images', []), 'the file lists no image'),
    'annotations empty': (whole('annotations', []), 'there is no box in it'),
    'image null': (whole('images', lambda v: [None, *v]), f'image number 1 {NO_OBJECT}'),
    'image a list': (whole('images', lambda v: [*v, []]), f'image number 5 {NO_OBJECT}'),
    'annotation a number': (whole('annotations', lambda v: [7, *v]), f'annotation number 1 {NO_OBJECT}'),
    'category a text': (whole('categories', lambda v: ['x', *v]), f'category number 1 {NO_OBJECT}'),
    # info
    'info a list': (whole('info', []), f'info {NO_OBJECT}'),
    'label_modality unknown': (info(label_modality='rgb'), 'info.label_modality should be visible, ir, both'),
    'label_modality a number': (info(label_modality=3), 'info.label_modality should be '),
    'split a list': (info(split=['train']), f'info.split {TEXT}'),
    'data_root a number': (info(data_root=1), f'info.data_root {TEXT}'),
    'data_prefix a text': (info(data_prefix='visible/'), 'info.data_prefix should be folders'),
    'data_prefix of other names': (
        info(data_prefix=dict(visible='a/')),
        'info.data_prefix should be folders',
    ),
    'data_prefix null': (info(data_prefix=dict(img=None)), 'info.data_prefix should be folders'),
    # images
    **{
        f'image.{field} missing': (image(field, REMOVE), f'lacks {field}')
        for field in ('id', 'file_name', 'width', 'height')
    },
    'image.id null': (image('id', None), 'image train_001.png lacks id'),
    'image.id a text': (image('id', '1'), f'the id of image train_001.png {WHOLE}'),
    'image.id a fraction': (image('id', 1.5), WHOLE),
    'image.id true': (image('id', True), WHOLE),
    'image.id infinite': (image('id', math.inf), WHOLE),
    'image.id repeated': (image('id', 2), 'image id 2 is given 2 times'),
    'file_name a number': (image('file_name', 3), f'file_name of image number 1 {NAME}3'),
    'file_name empty': (image('file_name', ' '), NAME),
    'file_name absolute': (image('file_name', '/etc/passwd'), BAD_NAME),
    'file_name that climbs': (image('file_name', '../x.png'), BAD_NAME),
    'file_name with a line break': (image('file_name', 'a\nb.png'), BAD_NAME),
    'file_name with a lone surrogate': (image('file_name', 'a\ud800.png'), BAD_NAME),
    'file_name endless': (image('file_name', 'a' * 500), BAD_NAME),
    'file_name repeated': (image('file_name', 'train_002.png'), 'train_002.png is given 2 times'),
    'file_name_ir a list': (image('file_name_ir', ['x']), f'file_name_ir of image train_001.png {NAME}'),
    'file_name_ir of another pair': (image('file_name_ir', 'train_002.png'), 'the infrared image .* 2 times'),
    'both infrared names': (
        lambda data: data['images'][0].update(file_name_ir='a.png', file_name_lwir='b.png'),
        'file_name_ir and file_name_lwir of image train_001.png differ',
    ),
    'width null': (image('width', None), 'image train_001.png lacks width'),
    'width a text': (image('width', '96'), f'the width of image train_001.png {WHOLE}'),
    'width 0': (image('width', 0), f'{WHOLE} from 1 to 100000, got 0'),
    'width negative': (image('width', -96), WHOLE),
    'height NaN': (image('height', math.nan), WHOLE),
    'height huge': (image('height', 10**9), WHOLE),
    'time a number': (image('time', 12), 'the time of image train_001.png should be day, night, or be left'),
    'time another word': (image('time', 'noon'), 'should be day, night, or be left out; got '),
    'crop a text': (image('crop', 'all'), 'crop of image train_001.png should be x, y, width, height'),
    'crop of three': (image('crop', [0, 0, 9]), 'should be x, y, width, height'),
    'crop of fractions': (image('crop', [0, 0, 95.5, 64]), WHOLE),
    'crop negative': (image('crop', [-1, 0, 96, 64]), WHOLE),
    'crop of another size': (image('crop', [0, 0, 50, 50]), 'crop of image .* is 50x50 pixels, its width'),
    'both images one file': (info(data_prefix=dict(img='visible', ir='visible')), 'is the visible image of'),
    # categories
    'category.id missing': (category('id', REMOVE), 'category number 1 lacks id'),
    'category.id null': (category('id', None), 'category number 1 lacks id'),
    'category.id a text': (category('id', 'person'), f'the id of category person {WHOLE}'),
    'category.id repeated': (category('id', 2), 'category id 2 is given 2 times'),
    'category.name missing': (category('name', REMOVE), 'category number 1 lacks name'),
    'category.name a number': (category('name', 5), f'the name of category number 1 {TEXT}'),
    'category.name empty': (category('name', ''), TEXT),
    'category.name repeated': (category('name', 'car'), 'category car is given 2 times'),
    # annotations
    **{
        f'annotation.{field} missing': (box(field, REMOVE), f'lacks {field}')
        for field in ('id', 'image_id', 'category_id', 'bbox')
    },
    'annotation.id null': (box('id', None), 'annotation number 1 lacks id'),
    'annotation.id a text': (box('id', 'one'), WHOLE),
    'annotation.id repeated': (box('id', 2), 'annotation id 2 is given 2 times'),
    'image_id a text': (box('image_id', '1'), f'image_id of annotation 1 {WHOLE}'),
    'image_id a list': (box('image_id', [1]), WHOLE),
    'image_id unknown': (
        box('image_id', 99),
        'annotation 1 points to image 99, which the file does not',
    ),
    'category_id a text': (box('category_id', 'car'), f'category_id of annotation 1 {WHOLE}'),
    'category_id unknown': (box('category_id', 7), 'annotation 1 is of category 7, which the file does not'),
    'bbox null': (box('bbox', None), 'annotation 1 lacks bbox'),
    'bbox a text': (box('bbox', '1 2 3 4'), BBOX),
    'bbox of three': (box('bbox', [1, 2, 3]), BBOX),
    'bbox of five': (box('bbox', [1, 2, 3, 4, 5]), BBOX),
    'bbox of texts': (box('bbox', ['1', '2', '3', '4']), BBOX + 'a number'),
    'bbox with null': (box('bbox', [1, 2, None, 4]), BBOX + 'a number'),
    'bbox with NaN': (box('bbox', [math.nan, 2, 3, 4]), 'the bbox of annotation 1 is nan, wanted a finite'),
    'bbox infinite': (box('bbox', [1, 2, math.inf, 4]), 'is inf, wanted a finite number'),
    'bbox huge': (box('bbox', [1, 2, 1e300, 4]), 'wanted at most 100000 in magnitude'),
    'bbox negative': (box('bbox', [10, 10, -5, 5]), 'width and height must not be negative'),
    'area a text': (box('area', 'big'), 'the area of annotation 1 should be a number'),
    'area an empty text': (box('area', ''), 'the area of annotation 1 should be a number'),
    'area negative': (box('area', -4), 'the area of annotation 1 is -4, wanted pixels squared'),
    'area infinite': (box('area', math.inf), 'the area of annotation 1 is inf, wanted a finite number'),
    'iscrowd a text': (box('iscrowd', 'no'), f'iscrowd {FLAG}'),
    'iscrowd 2': (box('iscrowd', 2), f'iscrowd {FLAG}2'),
    'ignore a list': (box('ignore', []), f'ignore {FLAG}'),
    'corners with NaN': (box('segmentation', [[math.nan] * 8]), 'the segmentation of annotation 1 is nan'),
}

TOLERATED = {
    'info missing': (whole('info', REMOVE), ''),
    'info null': (whole('info', None), ''),
    'info fields null': (info(label_modality=None, split=None, data_root=None, data_prefix=None), ''),
    'time null': (image('time', None), ''),
    'crop null': (image('crop', None), ''),
    'other fields': (image('licence', {'a': [1]}), ''),
    'width 96.0': (image('width', 96.0), '1 whole numbers written as fractions'),
    'area missing': (box('area', REMOVE), '1 boxes without a stated area, width times height taken'),
    'area null': (box('area', None), '1 boxes without a stated area'),
    'area 0': (box('area', 0), '1 boxes without a stated area'),
    'area too large': (box('area', 5000), '1 boxes with a stated area beyond width times height, kept'),
    'iscrowd missing': (box('iscrowd', REMOVE), ''),
    'ignore null': (box('ignore', None), ''),
    'bbox without width': (box('bbox', [10, 10, 0, 5]), '1 boxes without area, left out'),
    'bbox outside': (box('bbox', [200, 10, 5, 5]), '1 boxes outside their image, left out'),
    'bbox across the edge': (box('bbox', [90, 10, 30, 5]), '1 boxes across the edge of their image, kept'),
    'corners elsewhere': (
        box('segmentation', [[50, 30, 60, 30, 60, 40, 50, 40]]),
        '1 boxes with corners that differ from bbox by over 2 pixels',
    ),
    'corners of other kinds': (box('segmentation', {'counts': 'x'}), ''),
}


def break_file(path, change):
    """Apply a row of the table to an annotation file."""
    if isinstance(change, bytes):
        path.write_bytes(change)
    elif isinstance(change, str):
        path.write_text(change)
    else:
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))


def said(message, text):
    """The one line names the file and says it."""
    lines = text.strip().splitlines()
    assert lines and 'Traceback' not in text, text[-2000:]
    assert re.search(rf'annotations_train\.json: .*{message}', lines[-1].replace('(', ' ')), lines[-1]


def test_the_table_is_long_enough():
    assert len(REFUSED) + len(TOLERATED) >= 80


@pytest.mark.parametrize('name', REFUSED)
def test_the_reader_refuses(pairs, name):
    change, message = REFUSED[name]
    break_file(pairs / 'annotations_train.json', change)
    with pytest.raises(InputError) as caught:
        read_annotations(pairs / 'annotations_train.json')
    assert '\n' not in str(caught.value)
    said(message, str(caught.value))


@pytest.mark.parametrize('name', TOLERATED)
def test_the_reader_tolerates_and_counts(pairs, name):
    change, remark = TOLERATED[name]
    break_file(pairs / 'annotations_train.json', change)
    remarks = read_annotations(pairs / 'annotations_train.json').remarks()
    assert remarks.startswith(remark) if remark else not remarks


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """One small dataset for all rows; each gets its annotation file back as it was."""
    return make_pairs(tmp_path_factory.mktemp('forms') / 'pairs')


@pytest.fixture
def intact(dataset):
    path = dataset / 'annotations_train.json'
    content = path.read_bytes()
    yield dataset
    path.write_bytes(content)


@pytest.mark.parametrize('name', REFUSED)
def test_evaluation_and_captioning_say_the_same(intact, tmp_path, monkeypatch, capsys, name):
    change, message = REFUSED[name]
    path = intact / 'annotations_train.json'
    break_file(path, change)
    detections = tmp_path / 'detections.json'
    detections.write_text('[]')
    out = tmp_path / 'captions.jsonl'
    assert run_here('eval_coco.py', monkeypatch, '--gt', path, '--dets', detections) == 1
    said(message, capsys.readouterr().err)
    if name == 'annotations empty':
        message = ''
        assert run_here('captions/generate.py', monkeypatch, path, '--out', out) == 0
    else:
        assert run_here('captions/generate.py', monkeypatch, path, '--out', out) == 1
        said(message, capsys.readouterr().err)
        assert not list(tmp_path.glob('captions*'))


@pytest.mark.slow
@pytest.mark.parametrize('name', REFUSED)
def test_training_says_the_same(intact, tmp_path, monkeypatch, capsys, name):
    change, message = REFUSED[name]
    break_file(intact / 'annotations_train.json', change)
    monkeypatch.setattr(Config, 'pretty_text', 'the config')  # formatting it takes longer than all the rest
    options = ['--cfg-options', *TINY, *iterations(1)]
    work_dir = tmp_path / 'run'
    assert run_here('train.py', monkeypatch, intact / 'leaf.py', '--work-dir', work_dir, *options) == 1
    said(message, capsys.readouterr().err)
    assert not list(work_dir.glob('*.pth'))


def test_a_pair_and_its_paths(pairs):
    found = read_annotations(pairs / 'annotations_train.json')
    assert found.pairs[0] == ImagePair(
        1,
        'train_001.png',
        str(pairs / 'visible/train_001.png'),
        str(pairs / 'infrared/train_001.png'),
        96,
        64,
    )
    assert found.classes == ('person', 'car', 'bicycle')
    assert (found.split, found.label_modality) == ('annotations_train', 'ir')
    check_files(found.pairs)
    check_classes(found, ('person', 'bicycle'))


@pytest.mark.parametrize(
    ('fields', 'arguments', 'folders'),
    [
        ({}, {}, ('here/visible', 'here/infrared')),
        ({}, dict(data_root='there'), ('there/visible', 'there/infrared')),
        (dict(data_prefix=dict(img='a', ir='b/c')), {}, ('here/a', 'here/b/c')),
        (dict(data_root='../there', data_prefix=dict(ir='b')), {}, ('there/visible', 'there/b')),
        (dict(data_root='../there'), dict(data_root='elsewhere'), ('there/visible', 'there/infrared')),
        (
            dict(data_root='../there'),
            dict(data_root='elsewhere', data_prefix=dict(img='x', ir='y')),
            ('elsewhere/x', 'elsewhere/y'),
        ),
    ],
)
def test_where_images_lie(pairs, tmp_path, monkeypatch, fields, arguments, folders):
    monkeypatch.chdir(tmp_path)
    data = json.loads((pairs / 'annotations_train.json').read_text())
    data['info'].update(fields)
    (tmp_path / 'here').mkdir()
    (tmp_path / 'here' / 'a.json').write_text(json.dumps(data))
    pair = read_annotations('here/a.json', **arguments).pairs[0]
    assert (pair.visible, pair.infrared) == tuple(f'{folder}/train_001.png' for folder in folders)


def test_what_is_filled_in(pairs):
    path = pairs / 'annotations_train.json'
    break_file(path, box('area', None))
    break_file(path, box('iscrowd', True, 1))
    break_file(path, image('file_name', 'train\\001.png'))
    break_file(path, image('crop', [2, 3, 96, 64]))
    found = read_annotations(path)
    assert found.data['annotations'][0]['area'] == 24 * 32 and found.data['annotations'][1]['iscrowd'] == 1
    assert found.pairs[0].key == 'train/001.png' and found.pairs[0].crop == (2, 3, 96, 64)
    assert found.data['images'][0]['file_name'] == 'train/001.png'


@pytest.mark.parametrize(
    ('corners', 'oriented'),
    [
        ([10, 20, 30, 20, 30, 40, 10, 40], False),
        ([10, 40, 10.000001, 20, 30, 20, 29.999999, 40.000001], False),  # as cv2.boxPoints gives them
        ([10, 20, 30, 20.009, 29.991, 40, 10, 40], False),
        ([10, 20, 30, 20.02, 30, 40, 10, 40], True),
        ([10, 20, 29.98, 20, 30, 40, 10, 40], True),
        ([20, 20, 30, 30, 20, 40, 10, 30], True),
    ],
)
def test_corners_of_upright_boxes_are_so_to_a_hundredth_of_a_pixel(corners, oriented):
    upright = [0, 0, 1, 0, 1, 1, 0, 1]
    assert are_oriented([upright, corners]) is oriented
    assert not are_oriented([upright, corners, None])
