import json
import random
import re
import shutil

import numpy as np
import pytest
from conversion.folders import convert, scene, verify, voc, write, write_image
from conversion.own_pairs import SIZE, RealPair, draw, real_oriented, real_upright, simple, write_copy
from conversion.test_fuzz import mutate, outcome

from mmslg.annotations import check_files, read_annotations
from mmslg.conversion.command import convert_folder
from mmslg.conversion.pairs import PairsReader
from mmslg.errors import InputError

LINE = '1 0.5 0.5 0.2 0.25\n'
BOX = [40, 30, 20, 20]  # of LINE in an image of 100x80


def boxes_by_stem(data):
    """Return sorted (class, bbox) of each image by the name without folders and ending."""
    names = {c['id']: c['name'] for c in data['categories']}
    found = {i['id']: [] for i in data['images']}
    for a in data['annotations']:
        found[a['image_id']].append((names[a['category_id']], a['bbox']))
    return {i['file_name'].rsplit('/', 1)[-1].split('.')[0]: sorted(found[i['id']]) for i in data['images']}


def expected(pairs):
    """Return what :func:`boxes_by_stem` should give, from the boxes that were written."""
    found = {}
    for pair in pairs:
        boxes = []
        for name, points in pair.boxes:
            x, y = np.reshape(points, (-1, 2)).T
            boxes.append((name, [x.min(), y.min(), np.ptp(x), np.ptp(y)]))
        found[pair.stem] = sorted(boxes)
    return found


def assert_same(found, wanted, tolerance=0.5):
    assert found.keys() == wanted.keys()
    for stem, boxes in wanted.items():
        assert [n for n, _ in found[stem]] == [n for n, _ in boxes], stem
        if boxes:
            assert np.abs(np.subtract([b for _, b in found[stem]], [b for _, b in boxes])).max() < tolerance


UPRIGHT = {
    'm3fd': ('m3fd_pairs', 'annotations.json', 'vis', 'ir'),
    'llvip': ('llvip_pairs', 'annotations_test6.json', 'visible/test', 'infrared/test'),
    'flir': ('flir_aligned_pairs', 'annotations.json', 'vis', 'ir'),
    'roadscene': ('roadscene_flir', 'annotations_test.json', 'visible', 'infrared'),
}


@pytest.mark.parametrize('dataset', UPRIGHT)
def test_real_pairs_in_every_form_give_the_same_boxes(shared, tmp_path, dataset):
    folder, *rest = UPRIGHT[dataset]
    pairs = real_upright(shared / folder, *rest, limit=6)
    names = sorted({name for pair in pairs for name, _ in pair.boxes})[::-1]
    wanted = expected(pairs)
    assert sum(map(len, wanted.values())) > 10
    for form in ('yolo', 'yolo-obb', 'voc', 'coco'):
        splits, manifest = convert('pairs', write_copy(tmp_path / form, pairs, form, names), edge='keep')
        assert list(splits) == ['train'] and manifest['classes'] == names
        assert_same(boxes_by_stem(splits['train']), wanted)
        read = read_annotations(tmp_path / form / 'annotations_train.json')
        check_files(read.pairs)
        assert list(read.classes) == names and len(read.pairs) == len(pairs) and not read.tolerated
        assert not manifest['splits']['train']['left_out'] and not manifest['problems']
        oriented = form == 'yolo-obb'
        assert all(('segmentation' in a) == oriented for a in splits['train']['annotations'])


def test_real_oriented_pairs_in_every_form(shared, tmp_path):
    names = ['car', 'truck', 'freight car', 'bus', 'van']
    pairs = real_oriented(shared / 'dronevehicle_pairs/padded_840x712', names, 'train')
    found = {}
    for form in ('yolo-obb', 'voc', 'coco'):
        splits, manifest = convert('pairs', write_copy(tmp_path / form, pairs, form, names))
        assert manifest['source']['oriented'] and manifest['classes'] == names
        assert_same(boxes_by_stem(splits['train']), expected(pairs))
        found[form] = np.array([a['segmentation'][0] for a in splits['train']['annotations']])
    wanted = np.array([points for pair in pairs for _, points in pair.boxes])
    assert len(wanted) == 51
    for corners in found.values():
        assert np.abs(corners - wanted).max() < 0.5


def test_the_yolo_obb_copy_of_dronevehicle(shared):
    names = ['car', 'truck', 'freight-car', 'bus', 'van']
    reader = PairsReader(names=names)
    layout = reader.recognise(shared / 'dronevehicle_pairs')
    assert {s: len(p) for s, p in layout.splits.items()} == dict(train=5, val=9)
    assert layout.label_modality == 'ir' and not layout.problems
    assert 'YOLO, oriented labels: 14 label files' in layout.description
    data = verify('pairs', shared / 'dronevehicle_pairs', names=names)
    assert data['fit_to_train'], data['failed']
    with pytest.raises(InputError, match=r'what do the class numbers \(0 to 3\) mean\?.*--names person car'):
        PairsReader().recognise(shared / 'dronevehicle_pairs')


FOLDERS = {
    'images, imagesIR': ('images/{s}/{n}', 'imagesIR/{s}/{n}', 'labels/{s}/{n}', 'unknown'),
    'images, images_ir': ('images/{s}/{n}', 'images_ir/{s}/{n}', 'labels/{s}/{n}', 'unknown'),
    'images, image': ('images/{s}/{n}', 'image/{s}/{n}', 'labels/{s}/{n}', 'unknown'),
    'split above': ('{s}/images/{n}', '{s}/imagesIR/{n}', '{s}/labels/{n}', 'unknown'),
    'labels of both': ('images/{s}/{n}', 'imagesIR/{s}/{n}', 'labelsIR/{s}/{n}', 'ir'),
    'visible, infrared': ('visible/{s}/{n}', 'infrared/{s}/{n}', 'labels/{s}/{n}', 'unknown'),
    'YOLOv11-RGBT 1': (
        '{s}/visible/images/{n}', '{s}/infrared/images/{n}', '{s}/visible/labels/{n}', 'visible',
    ),
    'YOLOv11-RGBT 2': (
        'images/visible/{s}/{n}', 'images/infrared/{s}/{n}', 'labels/visible/{s}/{n}', 'visible',
    ),
    'rgb, ir': ('rgb/images/{s}/{n}', 'ir/images/{s}/{n}', 'ir/labels/{s}/{n}', 'ir'),
    'VIS, IR': ('VIS/{s}/{n}', 'IR/{s}/{n}', 'Labels/{s}/{n}', 'unknown'),
    'visible, lwir': ('{s}/visible/{n}', '{s}/lwir/{n}', '{s}/labels/{n}', 'unknown'),
    'words in one': ('{s}_rgb/{n}', '{s}_thermal/{n}', '{s}_labels/{n}', 'unknown'),
    'with a year': ('images/{s}2017/{n}', 'imagesIR/{s}2017/{n}', 'labels/{s}2017/{n}', 'unknown'),
    'endings': ('images/{s}/{n}_RGB', 'images/{s}/{n}_IR', 'labels/{s}/{n}_IR', 'ir'),
    'endings, one label': ('{s}/{n}_rgb', '{s}/{n}_T', '{s}/{n}', 'unknown'),
    'one ending': ('{s}/{n}', '{s}/{n}_ir', '{s}/labels/{n}', 'unknown'),
    'folders and endings': (
        'vis/{s}/{n}_RGB', 'ir/{s}/{n}_PreviewData', 'labels/{s}/{n}_RGB', 'visible',
    ),
    'beside the images': ('rgb/{s}/{n}', 'ir/{s}/{n}', 'ir/{s}/{n}', 'ir'),
    'scenes below': ('rgb/{s}/a/{n}', 'ir/{s}/a/{n}', 'labels/{s}/a/{n}', 'unknown'),
    'a folder around': ('my data/rgb/{s}/{n}', 'my data/ir/{s}/{n}', 'my data/labels/{s}/{n}', 'unknown'),
}  # fmt: skip


@pytest.mark.parametrize('case', FOLDERS)
def test_forms_of_folders(tmp_path, case):
    visible, infrared, label, modality = FOLDERS[case]
    for i, split in enumerate(('train', 'val', 'test')):
        for stem in ('0001', '0002'):  # the same names in every split
            at = dict(s=split, n=stem)
            draw(tmp_path, visible.format(**at) + '.png', infrared.format(**at) + '.png', i)
            write(tmp_path / (label.format(**at) + '.txt'), LINE)
    write(tmp_path / 'data.yaml', 'names: [person, car]')
    splits, manifest = convert('pairs', tmp_path)
    assert sorted(splits) == ['test', 'train', 'val']
    for split, data in splits.items():
        prefix = data['info']['data_prefix']
        at = dict(s=split, n='0001')
        first = data['images'][0]
        assert prefix['img'] + first['file_name'] == visible.format(**at) + '.png'
        assert prefix['ir'] + first['file_name_ir'] == infrared.format(**at) + '.png'
        assert [a['bbox'] for a in data['annotations']] == [BOX, BOX]
        assert [a['category_id'] for a in data['annotations']] == [2, 2]
        assert data['info']['label_modality'] == modality
    assert not manifest['problems']
    assert not any(s['left_out'] or s['remarks'] for s in manifest['splits'].values())


def described(root, **options):
    """Return the reader, the layout and what it says."""
    reader = PairsReader(**options)
    layout = reader.recognise(root)
    return reader, layout, layout.description


def test_it_says_what_it_took_for_what(tmp_path):
    _, layout, text = described(simple(tmp_path))
    assert text == (
        'visible images in images, infrared in imagesIR; YOLO labels: 2 label files in labels; nothing tells '
        'in which images they were drawn (--labels ir or rgb says it); classes person, car (from data.yaml); '
        'one set; all of it is train (--test-every N makes a test split)'
    )
    assert layout.label_modality == 'unknown'
    assert described(tmp_path, labels='rgb')[1].label_modality == 'visible'


def test_labels_of_both_images(tmp_path):
    simple(tmp_path)
    for stem in ('0001', '0002'):
        write(tmp_path / f'labelsIR/{stem}.txt', '0 0.5 0.5 0.5 0.5\n')
    _, layout, text = described(tmp_path)
    assert layout.label_modality == 'ir' and layout.splits['train'][0].label == 'labelsIR/0001.txt'
    assert '2 label files in labelsIR, not the 2 in labels (--labels rgb takes those)' in text
    _, layout, text = described(tmp_path, labels='rgb')
    assert layout.label_modality == 'visible' and layout.splits['train'][0].label == 'labels/0001.txt'
    assert '2 label files in labels, not the 2 in labelsIR (--labels ir takes those)' in text


def test_folders_whose_names_do_not_tell(tmp_path):
    draw(tmp_path, 'cam1/0001.png', 'cam2/0001.png')
    write(tmp_path / 'labels/cam2/0001.txt', LINE)
    with pytest.raises(
        InputError, match=r'nothing tells which images are visible.*--visible DIR --infrared DIR.*cam1 \(1\)'
    ):
        described(tmp_path, names=['a', 'b'])
    options = dict(names=['a', 'b'], visible='cam1', infrared='cam2')
    _, layout, _ = described(tmp_path, **options)
    pair = layout.splits['train'][0]
    assert (pair.visible, pair.infrared, pair.label) == (
        'cam1/0001.png',
        'cam2/0001.png',
        'labels/cam2/0001.txt',
    )
    assert layout.label_modality == 'ir' and layout.prefixes == ('cam1/', 'cam2/')
    _, layout, _ = described(tmp_path, **{**options, 'visible': str(tmp_path / 'cam1')})
    assert layout.splits['train'][0].visible == 'cam1/0001.png'
    for bad in ('cam3', '..', '/', 'labels/cam2/0001.txt'):
        with pytest.raises(InputError, match=rf'--visible {re.escape(bad)}: wanted a folder below'):
            described(tmp_path, **{**options, 'visible': bad})
    with pytest.raises(InputError, match=r'--visible and --infrared go together'):
        PairsReader(visible='cam1')
    with pytest.raises(InputError, match=r'their names do not differ'):
        described(tmp_path, **{**options, 'visible': 'cam2'})
    with pytest.raises(InputError, match=r'no images below labels, given as --visible'):
        described(tmp_path, **{**options, 'visible': 'labels'})


def test_names_that_mislead_are_overruled(tmp_path):
    draw(tmp_path, 'ir/rgb_like/0001.png', 'ir/0001.png')
    write(tmp_path / 'labels/0001.txt', LINE)
    _, layout, _ = described(tmp_path, names=['a', 'b'], visible='ir/rgb_like', infrared='ir')
    pair = layout.splits['train'][0]
    assert (pair.visible, pair.infrared) == ('ir/rgb_like/0001.png', 'ir/0001.png')


def write_lists(root, **lists):
    """Write a list of images for each split, as another machine would name them."""
    for split, stems in lists.items():
        lines = '\n'.join(f'D:\\data\\mine\\images\\{stem}.png' for stem in stems)
        write(root / f'lists/mine_{split}.txt', lines + '\n')


def test_splits_by_lists_of_a_yaml_file(tmp_path):
    simple(tmp_path, stems=('a', 'b', 'c', 'd'))
    write_lists(tmp_path, train=('c', 'a'), val=('b', 'gone'))
    write(
        tmp_path / 'data.yaml',
        'path: D:/mine\ntrain: lists/mine_train.txt\nval: ../mine/lists/mine_val.txt\ntest:\nnames: [p, c]',
    )
    splits, manifest = convert('pairs', tmp_path)
    assert {s: [i['file_name'] for i in d['images']] for s, d in splits.items()} == dict(
        train=['c.png', 'a.png'], val=['b.png']
    )
    assert manifest['splits']['val']['left_out'] == {
        'visible image missing': dict(count=1, pairs=["'D:\\\\data\\\\mine\\\\images\\\\gone.png'"])
    }
    _, layout, text = described(tmp_path)
    assert 'splits by lists/mine_train.txt, lists/mine_val.txt; 1 pairs in none of them are left out' in text
    assert layout.lists == ['lists/mine_train.txt', 'lists/mine_val.txt', 'data.yaml']


def test_splits_by_folders_of_a_yaml_file(tmp_path):
    for stem, folder in (('a', 'day'), ('b', 'night')):
        draw(tmp_path, f'images/{folder}/{stem}.png', f'imagesIR/{folder}/{stem}.png')
        write(tmp_path / f'labels/{folder}/{stem}.txt', LINE)
    write(tmp_path / 'data.yaml', 'train: images/day\nval: [/far/images/night]\nnames: [p, c]')
    splits, _ = convert('pairs', tmp_path)
    assert {s: [i['file_name'] for i in d['images']] for s, d in splits.items()} == dict(
        train=['day/a.png'], val=['night/b.png']
    )


def test_splits_by_lists_of_stems_and_oriented_labels_in_their_own_folder(tmp_path):
    for stem in ('00001', '00002'):
        draw(tmp_path, f'rgb/images/{stem}.png', f'ir/images/{stem}.png')
        write(tmp_path / f'ir/labels/{stem}.txt', LINE)
        write(tmp_path / f'ir/obb_labels/{stem}.txt', '0 .1 .1 .3 .1 .3 .3 .1 .3')
    write(tmp_path / 'train.txt', '00001\n')
    write(tmp_path / 'test.txt', '00002.png\n')
    splits, manifest = convert('pairs', tmp_path, names=['p', 'c'])
    assert list(splits) == ['test', 'train'] and manifest['source']['oriented']
    assert splits['test']['annotations'][0]['segmentation'] == [[10, 8, 30, 8, 30, 24, 10, 24]]
    text = described(tmp_path, names=['p', 'c'])[2]
    assert '2 label files in ir/obb_labels, not the 2 upright ones in ir/labels' in text


def test_every_nth_pair_is_test(tmp_path):
    simple(tmp_path, stems=tuple('abcde'))
    _, layout, text = described(tmp_path, test_every=2)
    assert {s: [p.key for p in pairs] for s, pairs in layout.splits.items()} == dict(
        train=['a', 'c', 'e'], test=['b', 'd']
    )
    assert text.endswith('one set; of every 2 pairs the last is test')
    _, layout, text = described(tmp_path, test_every=9)
    assert list(layout.splits) == ['train']
    assert text.endswith('one set; all of it is train: too few pairs (5) for --test-every 9')
    with pytest.raises(InputError, match=r'--test-every should be 2 or more, got 1'):
        PairsReader(test_every=1)


def test_the_split_off_comes_from_one_set_in_a_folder_or_file_and_never_from_several(tmp_path):
    root, options = tmp_path / 'yolo', dict(test_every=3, names=['p', 'c'])
    for stem in 'abc':
        draw(root, f'images/train/{stem}.png', f'imagesIR/train/{stem}.png')
        write(root / f'labels/train/{stem}.txt', LINE)
    coco_file(tmp_path / 'coco', 'train.json', ['a.png', 'b.png', 'c.png'])
    for folder in ('images', 'imagesIR'):
        (tmp_path / 'coco' / folder).symlink_to(root / folder / 'train')
    for layout in (described(root, **options)[1], described(tmp_path / 'coco', test_every=3)[1]):
        stems = {s: [p.visible[-5] for p in pairs] for s, pairs in layout.splits.items()}
        assert stems == dict(train=['a', 'b'], test=['c'])
    draw(root, 'images/val/d.png', 'imagesIR/val/d.png')
    described(root, **options)  # val has no labels, so there is one set still
    write(root / 'labels/val/d.txt', LINE)
    message = '--test-every 3 is for one set, and there are the splits train, val already; leave it out'
    with pytest.raises(InputError, match=message):
        described(root, **options)


def test_annotations_of_an_earlier_conversion_are_named(tmp_path, capsys):
    simple(tmp_path, stems=tuple('abcd'))
    convert_folder(None, ['pairs', str(tmp_path), '--test-every', '2'])
    first = capsys.readouterr().out
    assert 'train: 2 pairs; 2 boxes: 1 person, 1 car' in first and 'not of this conversion' not in first
    convert_folder(None, ['pairs', str(tmp_path), '--names', 'person', 'car'])
    said = capsys.readouterr().out
    assert f'remove it if it is of an earlier one: {tmp_path}/annotations_test.json' in said


def test_a_split_without_any_label_is_left_out(tmp_path):
    for split in ('train', 'test'):
        draw(tmp_path, f'images/{split}/a.png', f'imagesIR/{split}/a.png')
    write(tmp_path / 'labels/train/a.txt', LINE)
    splits, manifest = convert('pairs', tmp_path, names=['p', 'c'])
    assert list(splits) == ['train']
    assert manifest['problems'] == {'missing-label': dict(count=1, items=['test/a'])}
    assert (
        'test is left out: none of its 1 pairs has a label file' in described(tmp_path, names=['p', 'c'])[2]
    )


def test_classes_go_by_name(tmp_path):
    for folder, order, number in (('one', '[car, truck, bus]', 2), ('two', '{0: Bus, 1: car, 2: truck}', 0)):
        simple(tmp_path / folder, f'{number} 0.5 0.5 0.2 0.25', names=order)
        splits, manifest = convert('pairs', tmp_path / folder, classes=['bus', 'car'])
        assert [c['name'] for c in splits['train']['categories']] == ['bus', 'car']
        assert splits['train']['annotations'][0]['category_id'] == 1
    assert manifest['splits']['train']['aliases_merged'] == {'Bus -> bus': 1}
    splits, manifest = convert('pairs', tmp_path / 'one', classes=['bus'])
    assert manifest['splits']['train']['remarks'] == {"dropped: class 'truck'": 1}
    verdict = verify('pairs', tmp_path / 'one', classes=['bus'])
    assert not [c for c in verdict['checks'] if c['kind'] == 'stray-class' and c['status'] != 'ok']


@pytest.mark.parametrize('form', ['yolo', 'voc', 'coco'])
def test_classes_that_no_label_has_are_refused_before_anything_is_written(tmp_path, form):
    points = (40, 30, 60, 50)
    pairs = []
    for stem, name in (('a', 'person'), ('b', 'Car')):
        draw(tmp_path / 'source', f'{stem}.png', f'{stem}_ir.png')
        files = (tmp_path / f'source/{stem}{end}.png' for end in ('', '_ir'))
        pairs.append(RealPair(stem, *files, SIZE, [(name, points)]))
    root = write_copy(tmp_path / form, pairs, form, ['person', 'Car', 'bus'])
    convert('pairs', root)
    before = {p: p.read_bytes() for p in root.glob('*.json')}
    for asked, message in (
        (['persn', 'car'], 'there is no class persn; did you mean person'),
        (['bus', 'persn'], 'there is no class persn; did you mean person'),
        (['bus'], 'no label is of class bus, there are labels of person, Car; correct the names'),
        (['dog', 'bus'], 'no label is of class dog, bus, there are labels of person, Car; correct'),
    ):
        with pytest.raises(InputError, match=f'--classes: {message}'):
            convert('pairs', root, classes=asked)
    assert {p: p.read_bytes() for p in root.glob('*.json')} == before
    splits, _ = convert('pairs', root, classes=['bus', 'car'])  # bus is named, other splits may have it
    assert [c['name'] for c in splits['train']['categories']] == ['bus', 'car']
    assert len(splits['train']['annotations']) == 1


@pytest.mark.parametrize('form', ['yolo', 'voc', 'coco'])
def test_folders_converted_apart_get_the_same_classes(tmp_path, capsys, form):
    """Where a folder neither holds nor names a class that another one has."""
    draw(tmp_path, 'source/a.png', 'source/a_ir.png')
    files = tmp_path / 'source/a.png', tmp_path / 'source/a_ir.png'
    pair = RealPair('a', *files, SIZE, [('person', (40, 30, 60, 50)), ('car', (1, 2, 9, 9))])
    root = write_copy(tmp_path / form, [pair], form, ['person', 'car'])
    for asked, absent in (
        (('person', 'car', 'bus'), 'bus'),
        (('cart', 'persons', 'car', 'person'), 'cart, persons'),
    ):
        convert_folder(None, ['pairs', str(root), '--classes', *asked])
        assert f'; no label of {absent}\n' in capsys.readouterr().out
        data = read_annotations(root / 'annotations_train.json')
        assert data.classes == asked and len(data.data['annotations']) == 2


def test_classes_of_a_folder_of_backgrounds(tmp_path):
    simple(tmp_path, '', stems=('a',))
    splits, _ = convert('pairs', tmp_path, classes=['car', 'person'])
    assert [c['name'] for c in splits['train']['categories']] == ['car', 'person']
    assert len(splits['train']['images']) == 1 and not splits['train']['annotations']
    with pytest.raises(InputError, match='there is no class cra; did you mean car'):
        convert('pairs', tmp_path, classes=['cra'])


def test_a_class_may_be_absent_from_a_split(tmp_path):
    for split, number in (('train', 0), ('test', 1)):
        draw(tmp_path, f'images/{split}/a.png', f'imagesIR/{split}/a.png')
        write(tmp_path / f'labels/{split}/a.txt', f'{number} 0.5 0.5 0.2 0.25')
    _, manifest = convert('pairs', tmp_path, names=['person', 'car'], classes=['car', 'person'])
    boxes = {split: found['boxes'] for split, found in manifest['splits'].items()}
    assert boxes == dict(train=dict(person=1), test=dict(car=1))


def test_each_folder_has_its_own_order(tmp_path):
    for part, order in (('one', '[car, truck]'), ('two', '[truck, car]')):
        draw(tmp_path, f'{part}/images/{part}.png', f'{part}/imagesIR/{part}.png')
        write(tmp_path / f'{part}/labels/{part}.txt', '0 0.5 0.5 0.2 0.25')
        write(tmp_path / f'{part}/data.yaml', f'names: {order}')
    splits, manifest = convert('pairs', tmp_path)
    assert manifest['classes'] == ['car', 'truck']
    assert boxes_by_stem(splits['train']) == dict(one=[('car', BOX)], two=[('truck', BOX)])


def test_voc_without_names_file(tmp_path):
    draw(tmp_path, 'visible/a.png', 'infrared/a.png')
    extra = '<object><name>dot</name><point><x>1</x><y>1</y></point></object>'
    write(
        tmp_path / 'Annotations/a.xml', voc([('van', (40, 30, 60, 50)), ('Car', (1, 2, 9, 9))], SIZE, extra)
    )
    splits, manifest = convert('pairs', tmp_path)
    assert manifest['classes'] == ['Car', 'dot', 'van']
    assert boxes_by_stem(splits['train']) == dict(a=[('Car', [1, 2, 8, 7]), ('van', BOX)])
    assert manifest['splits']['train']['remarks'] == {'dropped: a point without a box': 1}


def coco_file(root, path, names, boxes=True, **image):
    """Write a COCO file of images by name."""
    images = [dict(id=i, file_name=name, width=100, height=80, **image) for i, name in enumerate(names)]
    annotations = [dict(id=i, image_id=i, category_id=4, bbox=BOX) for i in range(len(names) if boxes else 0)]
    data = dict(images=images, annotations=annotations, categories=[dict(id=4, name='car')])
    write(root / path, json.dumps(data))


def test_coco_files_by_split(tmp_path):
    for stem in 'abcd':
        draw(tmp_path, f'visible/{stem}.png', f'infrared/{stem}.png')
    coco_file(tmp_path, 'annotations/train.json', ['a.png', 'visible/b.png', 'gone.png'])
    coco_file(tmp_path, 'annotations/instances_val2017.json', ['/x/c.png'.lstrip('/')])
    splits, manifest = convert('pairs', tmp_path)
    assert {s: [i['file_name'] for i in d['images']] for s, d in splits.items()} == dict(
        train=['a.png', 'b.png'], val=['c.png']
    )
    assert manifest['splits']['train']['left_out'] == {
        'visible image missing': dict(count=1, pairs=['gone.png'])
    }
    text = described(tmp_path)[2]
    assert 'annotations/train.json (train), annotations/instances_val2017.json (val)' in text
    assert '1 pairs in none of these files are left out' in text
    again, _ = convert('pairs', tmp_path)  # the files written by the first conversion are no labels
    assert again == splits


def test_coco_files_of_both_images(tmp_path):
    draw(tmp_path, 'visible/a.png', 'infrared/a.png')
    for modality in ('visible', 'infrared'):
        coco_file(tmp_path, f'{modality}_train.json', ['a.png'])
    _, layout, text = described(tmp_path)
    assert layout.label_modality == 'ir' and layout.splits['train'][0].label == 'infrared_train.json'
    assert 'infrared_train.json (train), not visible_train.json (--labels rgb takes those)' in text
    assert described(tmp_path, labels='rgb')[1].splits['train'][0].label == 'visible_train.json'


def test_labels_whose_folders_leave_out_the_split(tmp_path):
    for split, stem in (('train', 'a'), ('test', 'b')):
        draw(tmp_path, f'visible/{split}/{stem}.png', f'infrared/{split}/{stem}.png')
        write(tmp_path / f'Annotations/{stem}.xml', voc([('person', (40, 30, 60, 50))], SIZE))
    splits, manifest = convert('pairs', tmp_path)
    assert {s: boxes_by_stem(d) for s, d in splits.items()} == dict(
        train=dict(a=[('person', BOX)]), test=dict(b=[('person', BOX)])
    )
    assert not manifest['problems']
    draw(tmp_path, 'visible/test/a.png', 'infrared/test/a.png')
    with pytest.raises(InputError, match=r'Annotations/a\.xml may belong to the a of 2 splits'):
        described(tmp_path)


def test_quadrangles_that_are_all_upright_are_boxes(tmp_path):
    draw(tmp_path, 'visible/a.png', 'infrared/a.png')
    coco_file(tmp_path, 'train.json', ['a.png'])
    data = json.loads((tmp_path / 'train.json').read_text())
    data['annotations'][0]['segmentation'] = [[40, 30, 60, 30, 60, 50, 40, 50]]
    write(tmp_path / 'train.json', json.dumps(data))
    splits, manifest = convert('pairs', tmp_path)
    assert not manifest['source']['oriented'] and boxes_by_stem(splits['train']) == dict(a=[('car', BOX)])


def test_polygons_of_a_segmentation_do_not_make_a_dataset_oriented(tmp_path):
    draw(tmp_path, 'visible/a.png', 'infrared/a.png')
    coco_file(tmp_path, 'train.json', ['a.png', 'a.png'][:1])
    data = json.loads((tmp_path / 'train.json').read_text())
    slanted = [[50, 30, 60, 40, 50, 50, 40, 40]]
    data['annotations'].append({**data['annotations'][0], 'id': 1, 'segmentation': slanted})
    write(tmp_path / 'train.json', json.dumps(data))
    assert not convert('pairs', tmp_path)[1]['source']['oriented']
    data['annotations'][0]['segmentation'] = [[40, 30, 60, 30, 60, 50, 40, 50]]
    write(tmp_path / 'train.json', json.dumps(data))
    splits, manifest = convert('pairs', tmp_path)
    assert manifest['source']['oriented'] and splits['train']['annotations'][1]['segmentation'] == slanted


def test_mixed_voc_labels_become_oriented(tmp_path):
    draw(tmp_path, 'visible/a.png', 'infrared/a.png')
    boxes = [('car', (10, 8, 30, 8, 30, 24, 10, 24)), ('car', (40, 30, 60, 50))]
    write(tmp_path / 'Annotations/a.xml', voc(boxes, SIZE))
    splits, manifest = convert('pairs', tmp_path)
    assert [a['segmentation'] for a in splits['train']['annotations']] == [
        [[10, 8, 30, 8, 30, 24, 10, 24]],
        [[40, 30, 60, 30, 60, 50, 40, 50]],
    ]
    assert manifest['splits']['train']['remarks'] == {'upright boxes taken as oriented ones': 1}


OBLIQUE = '1 0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3\n'


FIVE, NINE = r'5 values \(class cx cy w h\)', r'9 values \(class and four corners\)'


@pytest.mark.parametrize(
    ('usual', 'odd', 'forms'), [(LINE, OBLIQUE, (NINE, FIVE)), (OBLIQUE, LINE, (FIVE, NINE))],
    ids=['oriented', 'upright'],
)  # fmt: skip
def test_a_line_of_the_other_form_is_refused(tmp_path, usual, odd, forms):
    simple(tmp_path, usual, stems=('a', 'b', 'c'))
    for stem in 'bc':
        write(tmp_path / f'labels/{stem}.txt', usual + odd + usual)
    message = (
        rf'labels/b\.txt: line 2 has {forms[0]}; together the label files hold 2 lines of this form in '
        rf'2 files, and 5 lines of {forms[1]} in 3 files; write each upright box as its four corners, or'
    )
    with pytest.raises(InputError, match=message):
        convert('pairs', tmp_path)
    assert not list(tmp_path.glob('*.json'))
    found = {c['kind']: c['items'] for c in verify('pairs', tmp_path)['checks'] if c['status'] == 'fail'}
    assert 'labels/b.txt: line 2 has' in found['bad-label'][0]


def test_of_as_many_lines_of_either_form_none_is_called_wrong(tmp_path):
    simple(tmp_path, LINE + OBLIQUE, stems=('a',))
    message = f'line 2 has {NINE}; together .* 1 line of this form in 1 file, and 1 line of {FIVE} in 1 file;'
    with pytest.raises(InputError, match=message):
        convert('pairs', tmp_path)


@pytest.mark.parametrize(
    ('edge', 'remark', 'upright', 'oriented'),
    [
        ('clip', 'clipped: across the edge of the image', [90, 30, 10, 20], [90, 32, 10, 16]),
        ('keep', 'kept as they are: across the edge of the image', [90, 30, 20, 20], [90, 32, 40, 16]),
        ('drop', 'dropped: across the edge of the image', None, None),
    ],
)
def test_boxes_across_the_edge(tmp_path, edge, remark, upright, oriented):
    simple(tmp_path / 'up', '0 1.0 0.5 0.2 0.25')
    simple(tmp_path / 'obb', '0 0.9 0.4 1.3 0.4 1.3 0.6 0.9 0.6')
    write(tmp_path / 'obb/labels/0002.txt', '1 0.4 0.375 0.6 0.375 0.6 0.625 0.4 0.625\n')
    for folder, box in (('up', upright), ('obb', oriented)):
        splits, manifest = convert('pairs', tmp_path / folder, edge=edge)
        assert [a['bbox'] for a in splits['train']['annotations']] == ([box] if box else []) + [BOX]
        assert manifest['splits']['train']['remarks'][remark] == 1
        assert manifest['policies']['boxes_across_the_edge'] == edge


def put(name, content):
    """Return a step that writes a file."""
    data = content if isinstance(content, bytes) else content.encode()

    def step(root):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)

    return step


def remove(*patterns):
    """Return a step that removes files."""
    return lambda root: [path.unlink() for pattern in patterns for path in list(root.glob(pattern))]


def cut(name, length):
    """Return a step that cuts a file off."""
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:length])


def rename(pattern):
    """Return a step that gives files another name."""
    return lambda root: [path.rename(path.with_name(f'x{path.name}')) for path in list(root.glob(pattern))]


ONE = dict(count=1, pairs=['0001'])
SMALL = lambda root: write_image(root / 'imagesIR/0001.png', scene(0, (50, 40))[1])  # noqa: E731
COUNTED = {
    'no label file': (
        [remove('labels/0001.txt')],
        dict(remarks={'pairs without a label file, taken as images without objects': 1}),
    ),
    'an empty label file': ([put('labels/0001.txt', '')], {}),
    'no area': ([put('labels/0001.txt', '0 0.5 0.5 0 0.1')], dict(remarks={'dropped: no area': 1})),
    'given twice': ([put('labels/0001.txt', LINE * 2)], dict(remarks={'kept: given twice': 1})),
    'rounding': (
        [put('labels/0001.txt', '0 0.5 0.5 1.004 0.5')],
        dict(remarks={'boxes with values up to 0.01 outside [0, 1], set to the limit': 1}),
    ),
    'no infrared': ([remove('imagesIR/0001.png')], dict(left_out={'infrared image missing': ONE})),
    'no visible': ([remove('images/0001.png')], dict(left_out={'visible image missing': ONE})),
    'two sizes': ([SMALL], dict(left_out={'images of two sizes': ONE})),
    'truncated': ([cut('images/0001.png', 99)], dict(left_out={'visible image truncated': ONE})),
    'no partner and no label': (
        [remove('imagesIR/0001.png', 'labels/0001.txt')],
        dict(left_out={'infrared image missing': ONE}),
    ),
    'a label without image': (
        [put('labels/0009.txt', LINE)],
        dict(problems={'orphan-label': dict(count=1, items=['labels/0009.txt'])}),
    ),
    'another image': (
        [put('runs/plot.png', 'x')],
        dict(problems={'orphan-image': dict(count=1, items=['runs/plot.png'])}),
    ),
    'an image twice': (
        [put('images/0001.jpg', b'')],
        dict(
            left_out={'visible image empty': ONE},
            problems={'orphan-image': dict(count=1, items=['images/0001.png'])},
        ),
    ),
    'other files': ([put(n, 'a b c') for n in ('README.txt', 'labels.cache', 'requirements.txt')], {}),
}


@pytest.mark.parametrize('case', COUNTED)
def test_what_does_not_fit_is_counted_and_named(tmp_path, case):
    steps, wanted = COUNTED[case]
    simple(tmp_path)
    for step in steps:
        step(tmp_path)
    _, manifest = convert('pairs', tmp_path)
    found = {'problems': manifest['problems'], **manifest['splits']['train']}
    nothing = dict(remarks={}, left_out={}, problems={})
    assert {place: found[place] for place in nothing} == {**nothing, **wanted}


NO_LABELS = remove('labels/*')
EMPTY_XML = put('labels/0001.xml', voc([], SIZE))
REFUSED = {
    'no images': ([remove('*/*.png')], {}, 'there are no images'),
    'no labels': ([NO_LABELS], {}, 'there are no yolo, voc or coco labels'),
    'no names': ([remove('data.yaml')], {}, r'class numbers \(0 to 1\) mean\?.*--names person car'),
    'too few names': ([], dict(names=['person']), r'0002\.txt: line 1: class number 1, but there are only 1'),
    'names twice': ([], dict(names=['a', 'A']), "--names: class 'A' is named twice"),
    'classes twice': ([], dict(classes=['a', 'a']), "--classes: class 'a' is named twice"),
    'a bad line': ([put('labels/0001.txt', LINE + '1 2')], {}, r'0001\.txt: line 2 has 2 values'),
    'pixels': ([put('labels/0001.txt', '0 50 40 9 9')], {}, r'0001\.txt: line 1: coordinate 50, wanted 0 to'),
    'two label files': (
        [put('images/0001.txt', LINE)],
        {},
        r'images/0001\.txt and labels/0001\.txt are labels of one image; leave one of them',
    ),
    'two forms': ([EMPTY_XML], {}, r'several forms \(2 yolo, 1 voc\); .*--form yolo or voc'),
    'an absent form': ([], dict(form='coco'), r'there are no coco labels'),
    'names for VOC': ([NO_LABELS, EMPTY_XML], dict(names=['a']), '--names is for the numbers of YOLO labels'),
    'VOC without object': ([NO_LABELS, remove('data.yaml'), EMPTY_XML], {}, 'there is no class'),
    'bad XML': ([NO_LABELS, put('labels/0001.xml', '<annotation>')], {}, r'0001\.xml: not valid XML'),
    'bad JSON': ([NO_LABELS, put('train.json', '{"annotations": [}')], {}, r'train\.json: not valid JSON'),
    'binary JSON': ([NO_LABELS, put('train.json', b'\xff' * 50)], {}, r'train\.json: not UTF-8'),
    'labels elsewhere': (
        [rename('labels/*')],
        {},
        r'no label file belongs to a pair; there are 2 label files in labels',
    ),
    'no shared name': (
        [rename('imagesIR/*')],
        {},
        r'no visible and infrared image share a name.*images/0001\.png.*imagesIR/x0001\.png',
    ),
    'pairs in two splits': (
        [put('train.txt', '0001\n0002'), put('test.txt', '0001')],
        {},
        r'0001 is in two splits \(1 pairs are\)',
    ),
    'a list of others': ([put('train.txt', 'a.png\nb.png')], {}, r'train\.txt name none of the images'),
    'two lists': (
        [put('train.txt', '0001'), put('sets/train.txt', '0002')],
        {},
        r'sets/train\.txt and train\.txt are lists of one split; leave one',
    ),
    'COCO without images': (
        [
            NO_LABELS,
            put('a.json', '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}'),
        ],
        {},
        'no pair can be used: there is none',
    ),
    'an empty list': ([put('train.txt', '')], {}, r'train\.txt: the file is empty'),
    'labels that are not there': (
        [lambda root: (root / 'labels').rename(root / 'labelsIR')],
        dict(labels='rgb'),
        r'there are no labels of the rgb images, take those there are: --labels ir',
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_cannot_be_used_is_one_clear_line(tmp_path, case):
    steps, options, message = REFUSED[case]
    simple(tmp_path)
    for step in steps:
        step(tmp_path)
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(InputError, match=message) as caught:
        convert('pairs', tmp_path, **options)
    assert '\n' not in str(caught.value)
    assert sorted(tmp_path.rglob('*')) == before


def test_a_folder_in_the_form_already_is_told_the_way_on(tmp_path):
    draw(tmp_path, 'visible/a.png', 'infrared/a.png')
    draw(tmp_path, 'visible/b.png', 'infrared/b.png')
    coco_file(tmp_path, 'annotations_train.json', ['a.png'])
    same = r'annotations_train\.json: the output is the input'
    elsewhere = f'{same}; converted annotations go elsewhere by --out DIR$'
    with pytest.raises(InputError, match=elsewhere):  # there is no annotations_test.json
        convert('pairs', tmp_path)
    coco_file(tmp_path, 'annotations_test.json', ['b.png'])
    way = rf'tools/new_config\.py {tmp_path} takes the folder as it is'
    with pytest.raises(
        InputError, match=f'{same}; {way}, and converted annotations go elsewhere by --out DIR$'
    ):
        convert('pairs', tmp_path)
    for names in (('visible', 'rgb'), ('infrared', 'ir')):
        (tmp_path / names[0]).rename(tmp_path / names[1])
    with pytest.raises(InputError, match=elsewhere):  # the files do not say where the images lie
        convert('pairs', tmp_path)
    convert('pairs', tmp_path, tmp_path / 'out')
    for split in ('train', 'test'):
        path = tmp_path / f'annotations_{split}.json'
        shutil.copy(tmp_path / 'out' / path.name, path)
        path.write_text(path.read_text().replace('"data_root": ".."', '"data_root": "."'))
    shutil.rmtree(tmp_path / 'out')
    done = r'no yolo, voc or coco labels.*; annotations_t\w+\.json is converted already'
    with pytest.raises(InputError, match=f'{done}: {way}$'):
        convert('pairs', tmp_path)
    (tmp_path / 'annotations_test.json').unlink()
    with pytest.raises(InputError, match=f'{done}$'):
        convert('pairs', tmp_path)


def test_swapped_folders_are_warned_of(tmp_path, capsys):
    for i in range(7):
        draw(tmp_path, f'infrared/{i}.png', f'visible/{i}.png', i)  # the colours in infrared/
        write(tmp_path / f'labels/{i}.txt', LINE)
    arguments = ['pairs', str(tmp_path), '--names', 'p', 'c']
    convert_folder(None, arguments)
    warning = capsys.readouterr().err
    assert warning.count('\n') == 1 and warning.startswith('warning: in 4 of 4 pairs that were looked at ')
    assert 'look swapped' in warning and '--visible and --infrared' in warning
    convert_folder(None, [*arguments, '--visible', 'infrared', '--infrared', 'visible'])
    assert not capsys.readouterr().err
    for name in ('0', '1'):  # two pairs of seven are no swapped folders
        for folder, other in (('infrared', 'visible'), ('visible', 'infrared')):
            (tmp_path / folder / f'{name}.png').rename(tmp_path / f'{other}_{name}.png')
        for folder in ('infrared', 'visible'):
            (tmp_path / f'{folder}_{name}.png').rename(tmp_path / folder / f'{name}.png')
    convert_folder(None, [*arguments, '--visible', 'infrared', '--infrared', 'visible'])
    assert not capsys.readouterr().err


def test_coco_files_that_cannot_be_told_apart(tmp_path):
    for folder in ('visible', 'infrared'):
        for split in ('train', 'val'):
            write_image(tmp_path / folder / split / 'a.png', scene(0, SIZE)[0])
    coco_file(tmp_path, 'train.json', ['a.png'])
    assert described(tmp_path)[1].splits['train'][0].visible == 'visible/train/a.png'
    coco_file(tmp_path, 'train.json', ['visible/train/a.png', 'infrared/train/a.png'])
    with pytest.raises(
        InputError, match=r'train\.json: .*infrared/train/a\.png. belongs to a pair that is listed'
    ):
        described(tmp_path)
    coco_file(tmp_path, 'train2.json', ['a.png'])
    with pytest.raises(InputError, match=r'train\.json and train2\.json are both train annotations'):
        described(tmp_path)
    (tmp_path / 'train.json').rename(tmp_path / 'all.json')
    (tmp_path / 'train2.json').unlink()
    coco_file(tmp_path, 'all.json', ['a.png'])
    (tmp_path / 'visible/train').rename(tmp_path / 'visible/test')
    (tmp_path / 'infrared/train').rename(tmp_path / 'infrared/test')
    with pytest.raises(
        InputError, match=r'all\.json: .a\.png. may mean test/a and val/a; write more of the path'
    ):
        described(tmp_path)


def test_verification_of_own_pairs(tmp_path):
    simple(tmp_path, stems=('a', 'b', 'c'))
    (tmp_path / 'labels/c.txt').unlink()
    assert verify('pairs', tmp_path)['fit_to_train']
    write(tmp_path / 'labels/b.txt', LINE + '7 0.5 0.5 0.1 0.1')
    (tmp_path / 'imagesIR/c.png').unlink()
    found = {c['kind']: c['items'] for c in verify('pairs', tmp_path)['checks'] if c['status'] == 'fail'}
    assert 'labels/b.txt: line 2: class number 7' in found['bad-label'][0]
    assert found['orphan-image'] == ['images/c.png']


@pytest.mark.parametrize('target', ['labels/0001.txt', 'data.yaml', 'train.txt', 'oriented'])
def test_mutated_files_never_end_in_a_traceback(tmp_path, target):
    root = simple(tmp_path / 'data', '0 0.5 0.5 0.2 0.25\n1 0.25 0.75 0.1 0.125\n')
    write(root / 'train.txt', 'images/0001.png\nimages/0002.png\n')
    text = '0 0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3\n'
    if target == 'oriented':
        target = 'labels/0001.txt'
        write(root / target, text * 2)
        write(root / 'labels/0002.txt', text)
    path = root / target
    original = path.read_text()
    rng = random.Random(f'11 {target}')
    results = []
    for _ in range(300):
        path.unlink()
        path.write_bytes(mutate(original, rng))
        result = outcome(lambda: convert('pairs', root, tmp_path / 'out'))
        assert result == 'ok' or str(root) in result, result
        results.append(result)
    assert 20 < results.count('ok') < 290
