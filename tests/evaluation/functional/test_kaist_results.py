"""Files of detections; every line that is no good is named."""

import json

import numpy as np
import pytest
from evaluation.kaist_samples import annotations, write_folder

from mmslg.errors import InputError
from mmslg.evaluation.functional import (
    parse_annotations,
    read_detections,
    read_ground_truth,
    write_detections,
)

GOOD = '1,100,100,30,60,0.9\n'


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path)


def read(folder, tmp_path, content, name='dets.txt'):
    (tmp_path / name).write_text(content)
    return read_detections(tmp_path / name, read_ground_truth(folder))


@pytest.mark.parametrize(
    'content',
    [
        GOOD + '3,1,2,3,4,-17.5',
        '\ufeff' + GOOD.replace('\n', '\r\n') + '\n\n3,1,2,3,4,-17.5\r\n',
        '% a comment\n1 100 100 30 60 0.9\n3.0\t1\t2  3 4 -1.75e1\n',
    ],
)
def test_forms_of_result_lines(folder, tmp_path, content):
    found = read(folder, tmp_path, content)
    assert found.image.tolist() == [0, 2] and found.scores.tolist() == [0.9, -17.5]
    assert found.boxes.tolist() == [[100, 100, 30, 60], [1, 2, 3, 4]]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (GOOD + '0,1,2,3,4,1\n', ':2: image index 0: this file counts images from 0, wanted from 1'),
        (GOOD + '\n4,1,2,3,4,1\n', ':3: the ground truth has no more than 3 images, got 4'),
        ('-1,1,2,3,4,1\n', ':1: wanted an image index from 1 up, got -1'),
        ('1.5,1,2,3,4,1\n', ':1: wanted a whole number as image index, got 1.5'),
        (GOOD + '1,1,2,3,4\n', ':2: wanted six finite numbers image index,x,y,w,h,score, got "1,1,2,3,4"'),
        (GOOD + '1,1,2,3,4,5,6\n', ':2: wanted six finite numbers'),
        ('1,1,2,,4,5\n', ':1: wanted six finite numbers'),
        ('1,1,2,3,4,nan\n' + GOOD, ':1: wanted six finite numbers'),
        (GOOD + '1,inf,2,3,4,1\n', ':2: wanted six finite numbers'),
        ('person,1,2,3,4,5\n', ':1: wanted six finite numbers'),
        ('[{"image_id": 1}]', ':1: wanted six finite numbers'),
    ],
)
def test_bad_result_lines_are_named(folder, tmp_path, content, message):
    with pytest.raises(InputError, match=rf'dets\.txt{message}'):
        read(folder, tmp_path, content)


def test_an_empty_file_is_legal_and_flat_boxes_are_said(folder, tmp_path):
    for name in ('dets.txt', 'dets.json'):
        assert read(folder, tmp_path, '', name).notes == ('no detections: every person is missed',)
    found = read(folder, tmp_path, GOOD + '1,5,5,0,4,1\n')
    assert found.notes == ('1 boxes without area count as false positives',)


def test_a_file_from_0_without_the_first_image_is_told_by_its_boxes(tmp_path):
    names = [f'set06/V000/I{20 * i + 19:05d}' for i in range(50)]
    boxes = [dict(image_id=i, bbox=[10 * i, 100, 8, 20], occlusion=0, ignore=0, id=i) for i in range(1, 50)]
    truth = parse_annotations(
        dict(images=[dict(id=i, im_name=n) for i, n in enumerate(names)], annotations=boxes), 'x.json'
    )
    for start in (1, 0):
        (tmp_path / 'd.txt').write_text(''.join(f'{i + start},{10 * i},100,8,20,1\n' for i in range(1, 50)))
        if start:
            assert len(read_detections(tmp_path / 'd.txt', truth).image) == 49
        else:
            with pytest.raises(InputError, match=r'49 boxes lie on persons of the image after .* from 0'):
                read_detections(tmp_path / 'd.txt', truth)


def test_coco_results(tmp_path):
    (tmp_path / 'gt.json').write_text(json.dumps(annotations()))
    entries = [
        dict(image_id=7, category_id=7, bbox=[1, 2, 3, 4], score=0.5),
        dict(image_id='set06/V000/lwir/I00019.png', category_id=7, bbox=[100, 100, 30, 60], score=2),
        dict(image_id=5, category_id=8, bbox=[1, 2, 3, 4], score=0.5),
    ]
    found = read(tmp_path / 'gt.json', tmp_path, json.dumps(entries), 'dets.json')
    assert found.image.tolist() == [2, 0] and found.scores.tolist() == [0.5, 2]
    assert found.notes == ('1 detections of other categories are left out',)
    for bad, message in (
        ({}, 'wanted a list of COCO results, got dict'),
        ([*entries, 3], 'entry 3 is no object'),
        ([dict(entries[0], image_id=99)], "entry 0: the ground truth has no image '99'"),
        ([dict(entries[0], image_id=[5])], 'entry 0: the ground truth has no image'),
        ([dict(entries[0], bbox=[1, 2, 3])], r'entry 0: wanted bbox \[x, y, w, h\] and score'),
        ([dict(entries[0], image_id=True)], "entry 0: the ground truth has no image 'True'"),
        ([dict(entries[0], bbox=['1', '2', '3', '4'])], r'entry 0: wanted bbox'),
        ([dict(entries[0], score='0.5')], r'entry 0: wanted bbox \[x, y, w, h\] and score'),
        ([dict(entries[0], score=float('nan'))], r'entry 0: wanted bbox \[x, y, w, h\] and score'),
    ):
        with pytest.raises(InputError, match=message):
            read(tmp_path / 'gt.json', tmp_path, json.dumps(bad), 'dets.json')


def test_folder_of_detections(folder, tmp_path):
    found = tmp_path / 'det'
    found.mkdir()
    (found / 'set09_V000_I00019.txt').write_text('person 99 99 129 159 0.123456789\n')
    (found / 'set06_V000_I00019.txt').write_text('')
    detections = read_detections(found, read_ground_truth(folder))
    assert detections.image.tolist() == [2] and detections.boxes.tolist() == [[100, 100, 30, 60]]
    assert detections.scores.tolist() == [0.12345679]
    (found / 'set06_V000_I00019.txt').write_text('person 1 2 3\n')
    with pytest.raises(InputError, match=r'I00019\.txt:1: wanted "person x1 y1 x2 y2 score"'):
        read_detections(found, read_ground_truth(folder))
    (found / 'set06_V000_I00059.txt').write_text('')
    (found / 'set06_V000_I00019.txt').unlink()
    with pytest.raises(InputError, match='the ground truth has no image set06/V000/I00059'):
        read_detections(found, read_ground_truth(folder))


def test_written_files_count_from_1_in_each_list(folder, tmp_path):
    truth = read_ground_truth(folder)
    found = read(folder, tmp_path, '3,1,2,3,4,0.2\n1,5,6,7,8,0.3\n3,1,2,3,4,0.25\n')
    write_detections(tmp_path / 'all.txt', found, np.ones(3, dtype=bool))
    assert (tmp_path / 'all.txt').read_text().splitlines() == [
        '1,5.0000,6.0000,7.0000,8.0000,0.30000000',
        '3,1.0000,2.0000,3.0000,4.0000,0.25000000',
        '3,1.0000,2.0000,3.0000,4.0000,0.20000000',
    ]
    write_detections(tmp_path / 'night.txt', found, truth.times == 'night')
    assert [line[:2] for line in (tmp_path / 'night.txt').read_text().splitlines()] == ['1,', '1,']
