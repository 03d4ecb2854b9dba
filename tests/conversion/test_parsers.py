import pytest
from conversion.folders import BOMB, voc

from mmslg.conversion.voc import parse_voc
from mmslg.errors import InputError
from mmslg.evaluation.functional.kaist import read_bbgt
from mmslg.utils.safe_text import safe_name


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / 'label.xml'
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_coordinates_are_those_of_the_file(file):
    path = file(
        voc(
            [('person', (0, 1.5, 30, 40)), ('feright car', range(8)), ('van', (5, 6))], (640, 512), '<owner/>'
        )
    )
    parsed = parse_voc(path)
    assert [(o.name, o.shape, o.points) for o in parsed.objects] == [
        ('person', 'bndbox', (0, 1.5, 30, 40)),
        ('feright car', 'polygon', tuple(range(8))),
        ('van', 'point', (5, 6)),
    ]
    assert parsed.size == (640, 512) and not parsed.repaired


def test_the_corner_and_extent_form_of_kaist(file):
    text = (
        '<annotation><object><name>person</name><bndbox><x>1</x><y>2</y><w>3</w><h>4</h></bndbox>'
        '<occlusion>2</occlusion></object></annotation>'
    )
    item = parse_voc(file(text)).objects[0]
    assert item.points == (1, 2, 4, 6) and item.tags['occlusion'] == '2'


def test_a_path_in_a_local_encoding_does_not_hide_the_labels(file):
    text = '<?xml version="1.0"?>' + voc([('car', (1, 2, 3, 4))], filename='测试图像.jpg')
    parsed = parse_voc(file(text.encode('gbk')))
    assert parsed.repaired and parsed.objects[0].points == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'the file is empty'),
        (b' \n', 'the file is empty'),
        (BOMB, 'declares a document type or an entity'),
        (BOMB.encode('utf-16'), 'declares a document type or an entity'),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', 'declares a document type'),
        ('<annotation><object>', 'not valid XML'),
        ('\x00\x01', 'not valid XML'),
        ('<html/>', 'wanted a VOC <annotation>'),
        ('<a>' * 100, 'nested deeper'),
        (voc([('car', (1, 2, 3, 'nan'))]), r'object 1, <ymax> should be a number, got .nan.'),
        (voc([('car', (1, 2, 3, '1e99'))]), r'is 1e\+99, wanted at most 100000'),
        (voc([('car', (1, 2, 3, '9' * 5000))]), 'should be a number'),
        (voc([('car', (1, 2, 3, 'inf'))]), 'should be a number'),
        (voc([('car', (1, 2, 3, ''))]), 'should be a number'),
        (voc([('', (1, 2, 3, 4))]), 'object 1 has no <name>'),
        (voc([('car', (1, 2, 3, 4))]).encode() + b' ' * 5_000_000, 'larger than'),
    ],
)
def test_unusable_xml_is_one_line_that_names_the_file(file, content, message):
    path = file(content)
    with pytest.raises(InputError, match=message) as caught:
        parse_voc(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value) and len(str(caught.value)) < 400


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match='not a regular file'):
        parse_voc(tmp_path)


def test_bbgt_lines(file):
    path = file('% bbGt version=3\r\nperson 505 212 20 50 2 0 0 0 0 0 0\nperson? 1.5 2 3 4 0 1 1 1 1 1 0\n\n')
    first, second = read_bbgt(path)
    assert (first.label, first.bbox, first.occlusion, first.ignore) == ('person', (505, 212, 20, 50), 2, 0)
    assert (second.label, second.bbox, second.ignore) == ('person?', (1.5, 2, 3, 4), 1)
    assert read_bbgt(file('% bbGt version=3\n')) == ()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('person 1 2 3 4 0 0 0 0 0 0 0', "wanted '% bbGt version=3'"),
        ('% bbGt version=2\n', "wanted '% bbGt version=3'"),
        ('% bbGt version=3\nperson 1 2 3 4', 'line 2 should be a label and 11 numbers'),
        ('% bbGt version=3\nperson 1 2 nan 4 0 0 0 0 0 0 0', 'line 2, w should be a number'),
        ('% bbGt version=3\nperson 1 2 3 4 7 0 0 0 0 0 0', 'occlusion should be 0, 1 or 2'),
        (b'% bbGt version=3\n\xff\xfe\xfd', 'not UTF-8 text'),
        (b'% bbGt version=3\n\0\0', 'NUL characters'),
        ('', 'the file is empty'),
    ],
)
def test_unusable_bbgt_is_one_line_that_names_the_file(file, content, message):
    path = file(content)
    with pytest.raises(InputError, match=message) as caught:
        read_bbgt(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'name', ['../a.jpg', '/a.jpg', 'a/../../b.jpg', '..\\a.jpg', 'C:\\a.jpg', '', 5, 'a\nb']
)
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(InputError, match='f: name'):
        safe_name(name, 'f', 'name')


def test_plain_names_pass():
    assert safe_name('a\\b.jpg', 'f', 'name') == 'a/b.jpg'
    assert safe_name('train/FLIR_1.jpeg_RGB.jpg', 'f', 'name') == 'train/FLIR_1.jpeg_RGB.jpg'
