"""Ground truth as JSON and as bbGt files; every line that is no good is named."""

import json

import pytest
from evaluation.kaist_samples import HEADER, NAMES, annotations, same, write_folder

from mmslg.errors import InputError
from mmslg.evaluation.functional import frame_name, parse_annotations, read_ground_truth


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path)


def test_folder_and_json_hold_the_same(folder, tmp_path):
    truth = read_ground_truth(folder)
    assert truth.names == NAMES and truth.times.tolist() == ['day', 'day', 'night']
    assert truth.image.tolist() == [0, 0, 2, 2] and truth.ignore.tolist() == [False, True, False, True]
    assert truth.first.tolist() == [True, False, False, False]
    same(truth, parse_annotations(annotations(), 'x.json'))
    (tmp_path / 'a.json').write_text(json.dumps(annotations()))
    same(truth, read_ground_truth(tmp_path / 'a.json'))
    same(truth, parse_annotations(change(0, ignore=0, iscrowd=1), 'x.json'))
    same(truth, read_ground_truth(tmp_path))  # the folder above `annotations`


def test_annotation_0_of_each_form():
    in_coco = parse_annotations(annotations(), 'x.json')
    assert in_coco.image.tolist() == [0, 0, 2, 2]
    assert in_coco.first.tolist() == [True, False, False, False]
    converted = annotations()
    for image in converted['images']:
        image['im_name'] = frame_name(image['file_name'])  # as the converter writes it beside the file's name
    assert parse_annotations(converted, 'x.json').first.tolist() == [True, False, False, False]
    published = annotations()
    for image in published['images']:
        image['im_name'] = frame_name(image.pop('file_name'))
    assert not parse_annotations(published, 'x.json').first.any()
    published['annotations'][0]['id'] = 0
    truth = parse_annotations(published, 'x.json')
    assert truth.first.sum() == 1 and truth.boxes[truth.first, 0] == 300


def test_names_that_are_not_of_kaist_keep_their_time_of_day():
    images = [
        dict(id=1, file_name='b.png', time='night'),
        dict(id=2, file_name='a.png', time='day'),
        dict(id=3, file_name='c.png'),
    ]
    truth = parse_annotations(annotations(images=images, annotations=[]), 'x.json')
    assert truth.names == ('a.png', 'b.png', 'c.png') and truth.times.tolist() == ['day', 'night', '']


def test_unknown_labels_are_left_out_and_said(folder):
    with (folder / 'set06_V000_I00039.txt').open('a') as file:
        file.write('dog 1 2 3 4 0 0 0 0 0 0 0\n')
    truth = read_ground_truth(folder)
    assert len(truth.boxes) == 4 and truth.notes == ("1 boxes labelled 'dog' are left out",)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', ': the file is empty'),
        ('person 1 2 3 4\n', ": wanted '% bbGt version=3' in the first line, got 'person 1 2 3 4'"),
        (HEADER + '\nperson 1 2 nan 4 0 0 0 0 0 0 0\n', ': line 3, w should be a number'),
        (HEADER + 'person 1 2 0 4 0 0 0 0 0 0 0\n', r'a box \[1, 2, 0, 4\] has no area'),
        (HEADER + 'person 1 2 3 4 0 0 0 0 0 0 45\n', r'turned boxes \(angle 45\)'),
    ],
)
def test_bad_bbgt_lines_are_named(folder, text, message):
    (folder / 'set06_V000_I00039.txt').write_text(text)
    with pytest.raises(InputError, match=rf'set06_V000_I00039\.txt.*{message}'):
        read_ground_truth(folder)


def test_folder_without_files(tmp_path):
    with pytest.raises(InputError, match=r'no files such as set06_V000_I00019\.txt'):
        read_ground_truth(tmp_path)


def name_images(*ids_and_names):
    pairs = zip(ids_and_names[::2], ids_and_names[1::2])
    return annotations(images=[dict(id=i, file_name=name) for i, name in pairs])


def change(index, **fields):
    data = annotations()
    data['annotations'][index] |= fields
    return data


def lack(index, field):
    data = annotations()
    del data['annotations'][index][field]
    return data


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        ([], 'wanted JSON with the lists images and annotations; a list of detections is no ground truth'),
        (dict(images=[]), 'wanted JSON with the lists'),
        (annotations(images=[]), 'the file lists no image'),
        (annotations(images=[{}]), r'images\[0\] wants an id and a file_name'),
        (name_images(1, 'a', 1, 'b'), 'two images have the id 1'),
        (
            name_images(1, 'set06/V000/visible/I00019.jpg', 2, 'set06/V000/lwir/I00019.jpg'),
            'two images have the name set06/V000/I00019',
        ),
        (annotations(categories=[dict(id=1, name='car')]), 'no category person; it has car'),
        (annotations(annotations=[3]), r'annotations\[0\] is no object'),
        (
            name_images(1, 'set06/V000/visible/I00019.jpg', 2, 'cat.jpg'),
            "'cat.jpg' is no name of a KAIST frame, as others are",
        ),
        (annotations(categories=[]), 'no category person; it has none'),
        (change(1, id=4), 'two annotations have the id 4'),
        (change(1, bbox=[1e9, 2, 3, 4]), r'annotations\[1\]: wanted bbox'),
        (change(1, category_id=99), r'annotations\[1\] is of category 99, which the file does not list'),
        (change(1, category_id='7'), r"annotations\[1\] is of category '7', which the file does not list"),
        (change(1, bbox=['1', '2', '3', '4']), r'annotations\[1\]: wanted bbox'),
        (change(1, bbox=[1, 2, 0, 4]), r'annotations\[1\]: wanted bbox .* with w and h above 0'),
        (change(1, bbox=[1, 2, 3, -4]), r'annotations\[1\]: wanted bbox .* with w and h above 0'),
        (change(1, iscrowd='0'), r'annotations\[1\]: wanted iscrowd 0 or 1, .* got 0'),
        (change(1, image_id=99), r'annotations\[1\] points to image 99'),
        (change(1, bbox=[1, 2, 3]), r'annotations\[1\]: wanted bbox'),
        (change(1, bbox=[1, 2, 3, 10**400]), r'annotations\[1\]: wanted bbox'),
        (change(1, height='tall'), r'annotations\[1\]: wanted a number as height, got tall'),
        (change(1, height=80), r'annotations\[1\]: height 80 contradicts bbox, which is 60 pixels high'),
        (change(1, occlusion=4), r'annotations\[1\]: wanted occlusion 0, 1 or 2, which .* got 4'),
        (change(1, occlusion=None), r'annotations\[1\]: wanted occlusion .* got None'),
        (lack(1, 'occlusion'), r'annotations\[1\]: wanted occlusion 0, 1 or 2, which .* got none'),
        (lack(1, 'ignore'), r'annotations\[1\]: wanted ignore 0 or 1, which the settings go by, got none'),
        (change(1, ignore='yes'), r"annotations\[1\]: wanted ignore 0 or 1, .* got yes"),
        (change(1, ignore=None), r'annotations\[1\]: wanted ignore .* got None'),
        (change(1, ignore=[]), r'annotations\[1\]: wanted ignore'),
    ],
)  # fmt: skip
def test_bad_annotations_are_named(data, message):
    with pytest.raises(InputError, match=rf'^x\.json: {message}'):
        parse_annotations(data, 'x.json')
