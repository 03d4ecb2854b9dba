"""tools/analysis/eval_coco.py: the published annotations, and files that do not belong to them."""

import errno
import json
import os

import pytest
from evaluation.drawn import draw_split
from evaluation.functional.test_coco_ap import reference
from helpers import run_analysis, run_here


@pytest.fixture
def files(tmp_path):
    data, detections = draw_split()
    (tmp_path / 'gt.json').write_text(json.dumps(data))
    (tmp_path / 'ours.json').write_text(json.dumps(detections))
    return tmp_path, data, detections


def test_table_and_json(files):
    folder, data, detections = files
    (folder / 'none.json').write_text('[]')
    dets = [folder / 'ours.json', folder / 'none.json']
    done = run_analysis(
        'eval_coco.py', '--gt', folder / 'gt.json', '--dets', *dets, '--json', folder / 'o.json'
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('protocol: COCO mAP, IoU 0.50:0.95')
    figures = json.loads((folder / 'o.json').read_text())
    assert figures['ours']['all']['mAP'] == pytest.approx(reference(data, detections)[0][0], abs=1e-6)
    assert set(figures['ours']) == {'all', 'day', 'night'} and figures['none']['all']['mAP_50'] == 0


@pytest.mark.slow
def test_a_file_of_1013_images_equals_pycocotools(shared, tmp_path):
    source = shared / 'flir_aligned_ann/damsdet_val_3class_1based.json'
    data = json.loads(source.read_text())
    detections = [
        dict(image_id=a['image_id'], category_id=1 + (a['category_id'] + (a['id'] % 7 == 0)) % 3,
             bbox=[a['bbox'][0] + a['id'] % 5, *a['bbox'][1:]], score=(a['id'] * 37 % 101) / 101)
        for a in data['annotations']
    ]  # fmt: skip
    (tmp_path / 'd.json').write_text(json.dumps(detections))
    done = run_analysis(
        'eval_coco.py', '--gt', source, '--dets', tmp_path / 'd.json', '--json', tmp_path / 'o.json'
    )
    assert done.returncode == 0, done.stderr
    assert '1013 pairs' in done.stdout
    row = json.loads((tmp_path / 'o.json').read_text())['d']['all']
    stats = reference(data, detections)[0]
    assert [row[k] for k in ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')] == pytest.approx(
        stats.tolist(), abs=1e-6
    )


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(image_id=999), 'detection 1 is of image 999, which the annotations do not list'),
        (dict(category_id=0), 'detection 1 is of category 0; the annotations have 1 person, 2 car'),
        (dict(score=float('nan')), 'detection 1 has no box of four finite numbers'),
        (dict(bbox=[1, 2, 3]), 'detection 1 has no box of four finite numbers'),
        (dict(bbox=None), 'detection 1 has no box of four finite numbers'),
        (dict(bbox=['1', '2', '3', '4']), 'detection 1 has no box of four finite numbers'),
        (dict(bbox=[1, 2, 3, float('inf')]), 'detection 1 has no box of four finite numbers'),
        (dict(bbox=[1, 2, 3, 10**400]), 'detection 1 has no box of four finite numbers'),
        (dict(bbox=[1, 2, 1e300, 4]), 'detection 1 has a box that reaches beyond 100000 pixels'),
        (dict(score='0.5'), 'detection 1 has no box of four finite numbers and a finite score'),
        (dict(score=10**400), 'detection 1 has no box of four finite numbers and a finite score'),
        (dict(score=True), 'detection 1 has no box of four finite numbers and a finite score'),
        (dict(image_id=[1]), 'detection 1 is of image [1], which the annotations do not list'),
        (dict(image_id='1'), "detection 1 is of image '1', which the annotations do not list"),
        (dict(image_id=True), 'detection 1 is of image True, which the annotations do not list'),
        (dict(category_id='car'), "detection 1 is of category 'car'; the annotations have 1 person, 2 car"),
        (dict(category_id={}), 'detection 1 is of category {}; the annotations have 1 person, 2 car'),
    ],
)
def test_detections_of_something_else(files, change, message, monkeypatch, capsys):
    folder, _, detections = files
    detections[0] |= change
    (folder / 'ours.json').write_text(json.dumps(detections))
    out = folder / 'o.json'
    arguments = ('--gt', folder / 'gt.json', '--dets', folder / 'ours.json', '--json', out)
    assert run_here('eval_coco.py', monkeypatch, *arguments) == 1
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1 and not out.exists()


def named(data, detections):
    """The file as tools/infer.py writes it: images by their names, of other ids; classes in another order."""
    ids = {image['id']: 100 - image['id'] for image in data['images']}
    kinds = {category['id']: (category['id'] + 1) % 3 for category in data['categories']}
    return dict(
        images=[dict(id=ids[image['id']], file_name=image['file_name']) for image in data['images']],
        annotations=[
            row | dict(image_id=ids[row['image_id']], category_id=kinds[row['category_id']])
            for row in detections
        ],
        categories=[dict(id=kinds[category['id']], name=category['name']) for category in data['categories']],
    )


@pytest.mark.parametrize(
    ('own', 'other'), [('', ''), ('test/', ''), ('', 'visible/test/'), ('', 'C:\\pairs\\'), ('a/b/', 'b/')]
)
def test_images_and_classes_are_told_by_their_names(files, own, other, monkeypatch, capsys):
    """Detection in a part of the tree, or above it, has other folders in front of the names."""
    path, data, detections = files
    found = named(data, detections)
    for images, folder in ((data['images'], own), (found['images'], other)):
        for image in images:
            image['file_name'] = f'{folder}{image["file_name"]}'
    found['images'].insert(0, dict(id=1000, file_name='0.jpg'))  # nothing was found in it
    found['categories'][0]['name'] = found['categories'][0]['name'].upper()
    (path / 'gt.json').write_text(json.dumps(data))
    (path / 'named.json').write_text(json.dumps(found))
    arguments = ('--gt', path / 'gt.json', '--dets', path / 'ours.json', path / 'named.json')
    assert run_here('eval_coco.py', monkeypatch, *arguments, '--json', path / 'o.json') == 0
    figures = json.loads((path / 'o.json').read_text())
    assert figures['named'] == figures['ours'] and figures['ours']['all']['mAP'] > 0.1


def in_two_folders(truth, found):
    """Names of which a folder was left out, and nothing says which."""
    for n, (image, other) in enumerate(zip(truth['images'], found['images'])):
        image['file_name'], other['file_name'] = f'{"ab"[n % 2]}/{n // 2}.jpg', f'{n // 2}.jpg'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda gt, dets: dets['images'][0].update(file_name='x.jpg'), "is of image 'x.jpg', which the"),
        (lambda gt, dets: dets['images'].pop(0), "is of image '99', which the annotations do not list"),
        (
            lambda gt, dets: dets['categories'][0].update(name='people'),
            "is of category 'people'; the annotations have 1 person, 2 car",
        ),
        (in_two_folders, "is of image '0.jpg', which the annotations do not list"),
    ],
)
def test_names_that_are_not_those_of_the_annotations(files, change, message, monkeypatch, capsys):
    folder, data, detections = files
    found = named(data, detections)
    change(data, found)
    (folder / 'gt.json').write_text(json.dumps(data))
    (folder / 'ours.json').write_text(json.dumps(found))
    arguments = ('--gt', folder / 'gt.json', '--dets', folder / 'ours.json')
    assert run_here('eval_coco.py', monkeypatch, *arguments) == 1
    error = capsys.readouterr().err
    assert message in error and 'ours.json: detection ' in error and error.count('\n') == 1


def test_entries_that_are_no_detections(files, monkeypatch, capsys):
    folder, _, detections = files
    for content, message in (
        ([*detections[:2], 3], 'detection 3 is no object'),
        ([{k: v for k, v in detections[0].items() if k != 'score'}], 'detection 1 lacks score'),
        (dict(images=[]), 'wanted a list of detections with image_id, category_id, bbox and score'),
        ('text', 'wanted a list of detections'),
    ):
        (folder / 'ours.json').write_text(json.dumps(content))
        arguments = ('--gt', folder / 'gt.json', '--dets', folder / 'ours.json')
        assert run_here('eval_coco.py', monkeypatch, *arguments) == 1
        error = capsys.readouterr().err
        assert f'ours.json: {message}' in error and error.count('\n') == 1


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda d: d['annotations'][1].update(id=1), 'annotation id 1 is given 2 times'),
        (
            lambda d: d['annotations'][0].update(category_id=9),
            'is of category 9, which the file does not list',
        ),
        (lambda d: d['annotations'][0].update(bbox=None), 'annotation 1 lacks bbox'),
        (lambda d: d['annotations'][0].update(bbox=[1, 2, float('nan'), 4]), 'finite number'),
        (lambda d: d['images'].append(d['images'][0]), 'is given 2 times'),
        (lambda d: d.update(categories=[]), 'which the file does not list'),
    ],
)
def test_annotations_are_read_by_the_one_reader(files, change, message, monkeypatch, capsys):
    folder, data, _ = files
    change(data)
    (folder / 'gt.json').write_text(json.dumps(data))
    arguments = ('--gt', folder / 'gt.json', '--dets', folder / 'ours.json')
    assert run_here('eval_coco.py', monkeypatch, *arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith(f'error: {folder / "gt.json"}: ') and message in error
    assert error.count('\n') == 1


def test_what_is_let_pass_is_counted(files, monkeypatch, capsys):
    folder, data, detections = files
    data['annotations'][0]['bbox'][2] = 0
    detections[0]['bbox'][3] = -1
    (folder / 'gt.json').write_text(json.dumps(data))
    (folder / 'ours.json').write_text(json.dumps(detections))
    arguments = ('--gt', folder / 'gt.json', '--dets', folder / 'ours.json')
    assert run_here('eval_coco.py', monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    assert 'let pass: ' in printed and '1 boxes without area, left out' in printed
    assert '1 boxes without area count as false positives' in printed


@pytest.mark.parametrize('name', ['gt.json', 'ours.json'])
def test_an_input_is_never_overwritten(files, name, monkeypatch, capsys):
    folder = files[0]
    before = (folder / name).read_bytes()
    (folder / 'link.json').symlink_to(folder / name)
    monkeypatch.chdir(folder)
    for out in (name, folder / name, f'../{folder.name}/{name}', 'link.json'):
        arguments = ('--gt', 'gt.json', '--dets', 'ours.json', '--json', out)
        assert run_here('eval_coco.py', monkeypatch, *arguments) == 1
        error = capsys.readouterr().err
        assert 'the output is the input' in error and error.count('\n') == 1
        assert (folder / name).read_bytes() == before


def test_a_full_disk_leaves_nothing(files, monkeypatch, capsys):
    def full(_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    folder = files[0]
    monkeypatch.setattr('os.fsync', full)
    arguments = ('--gt', folder / 'gt.json', '--dets', folder / 'ours.json', '--json', folder / 'o.json')
    assert run_here('eval_coco.py', monkeypatch, *arguments) == 1
    error = capsys.readouterr().err
    assert 'o.json: the disk is full' in error and error.count('\n') == 1
    assert sorted(os.listdir(folder)) == ['gt.json', 'ours.json']


def test_unknown_class(files, monkeypatch, capsys):
    folder = files[0]
    arguments = ('--gt', folder / 'gt.json', '--dets', folder / 'ours.json', '--classes', 'dog')
    assert run_here('eval_coco.py', monkeypatch, *arguments) == 1
    assert '--classes dog: the annotations have person, car, bicycle' in capsys.readouterr().err
