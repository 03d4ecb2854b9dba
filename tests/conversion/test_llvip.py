import json

import pytest
from conversion.folders import convert, llvip, real_llvip, voc, write

from mmslg.conversion.llvip import LlvipReader
from mmslg.errors import InputError


@pytest.fixture
def real(shared, tmp_path):
    published = json.loads((shared / 'llvip_pairs/annotations_test6.json').read_text())
    return real_llvip(shared, tmp_path / 'llvip'), published


def test_the_real_pairs_agree_with_their_published_boxes(real):
    root, published = real
    splits, manifest = convert('llvip', root)
    assert {s: len(d['images']) for s, d in splits.items()} == dict(train=10, test=6)
    stems = {i['id']: i['file_name'] for i in published['images']}
    wanted = sorted((stems[a['image_id']], a['bbox']) for a in published['annotations'])
    names = {i['id']: i['file_name'] for i in splits['test']['images']}
    got = sorted(
        (names[a['image_id']].removeprefix('test/'), a['bbox']) for a in splits['test']['annotations']
    )
    assert got == wanted and len(got) > 6
    assert manifest['data_prefix'] == dict(img='visible/', ir='infrared/')
    assert all((i['width'], i['height']) == (1280, 1024) for i in splits['test']['images'])
    assert manifest['source']['version'].startswith('unknown')


@pytest.mark.parametrize(
    ('count', 'version'),
    [
        (8302, 'corrected (2023-02-21)'),
        (7931, 'before the correction of 2023-02-21'),
        (8000, 'unknown: 8000'),
    ],
)
def test_the_version_of_the_labels_is_told_by_their_number(count, version):
    assert LlvipReader().label_version(dict(test=dict(person=count))).startswith(version)


def test_a_folder_inside_the_given_one_is_found(tmp_path):
    llvip(tmp_path / 'LLVIP/LLVIP', size=(64, 48))
    splits, manifest = convert('llvip', tmp_path)
    assert manifest['data_prefix']['ir'] == 'LLVIP/LLVIP/infrared/'
    assert splits['train']['images'][0]['file_name'] == 'train/010001.jpg'


def test_boxes_are_kept_dropped_and_counted_by_policy(tmp_path):
    llvip(tmp_path, ('010001',), ('190001',), size=(64, 48))
    boxes = [
        ('person', (-3, 0, 20, 20)),
        ('person', (5, 5, 5, 9)),
        ('person', (70, 5, 90, 9)),
        ('tree', (1, 2, 3, 4)),
        ('Person ', (1, 2, 3, 4)),
    ]
    write(tmp_path / 'Annotations/190001.xml', voc(boxes))
    splits, manifest = convert('llvip', tmp_path)
    assert [a['bbox'] for a in splits['test']['annotations']] == [[-3, 0, 23, 20], [1, 2, 2, 2]]
    assert manifest['splits']['test']['remarks'] == {
        'dropped: no area': 1,
        'dropped: outside the image': 1,
        "dropped: class 'tree'": 1,
        'kept as they are: across the edge of the image': 1,
    }
    assert manifest['splits']['test']['aliases_merged'] == {'Person -> person': 1}


def test_no_llvip(tmp_path):
    with pytest.raises(InputError, match='so this is no folder of LLVIP'):
        convert('llvip', tmp_path)
