import json
from collections import Counter

import pytest
from conversion.folders import convert, flir, scene, voc, write, write_image

from mmslg.conversion.flir import time_of
from mmslg.errors import InputError


def test_the_published_test_split(shared, tmp_path):
    """XML written from the published labels: raw coordinates, published counts, times of day."""
    folder = shared / 'flir_aligned_ann'
    raw = json.loads((folder / 'damsdet_val_3class_1based.json').read_text())
    with_dogs = json.loads((folder / 'voc2coco_val_with_dog.json').read_text())
    names = {c['id']: c['name'] for c in raw['categories']}
    stems = {i['id']: i['file_name'][:10] for i in raw['images']}
    objects = {stem: [] for stem in stems.values()}
    for a in raw['annotations']:
        x, y, w, h = a['bbox']
        name = names[a['category_id']].replace('bicycle', 'bike')
        objects[stems[a['image_id']]].append((name, (x, y, x + w, y + h)))
    dogs = {c['id'] for c in with_dogs['categories'] if c['name'] == 'dog'}
    for a in with_dogs['annotations']:
        if a['category_id'] in dogs:
            objects[a['image_id'][:10]].append(('dog', (1, 1, 20, 20)))
    for stem, boxes in objects.items():
        write(tmp_path / f'Annotations/{stem}_PreviewData.xml', voc(boxes, (640, 512)))
    write(tmp_path / 'align_validation.txt', '\n'.join(f'{s}_PreviewData' for s in stems.values()))
    splits, manifest = convert('flir', tmp_path)
    data = splits['test']
    assert len(data['images']) == 1013
    assert manifest['splits']['test']['boxes'] == dict(person=4107, car=4124, bicycle=360)
    assert manifest['splits']['test']['remarks'] == {"dropped: class 'dog'": 13, 'kept: given twice': 3}
    assert manifest['source']['version'] == 'published test labels'
    assert Counter(i['time'] for i in data['images']) == dict(day=702, night=311)
    for time in ('day', 'night'):
        wanted = json.loads((folder / f'thermal_test_{time}.json').read_text())['images']
        got = {i['file_name_ir'][:10] for i in data['images'] if i['time'] == time}
        assert got == {i['file_name'][:10] for i in wanted}
    back = {i['id']: i['file_name'][:10] for i in data['images']}
    classes = {c['id']: c['name'] for c in data['categories']}
    got = Counter((back[a['image_id']], classes[a['category_id']], *a['bbox']) for a in data['annotations'])
    wanted = Counter((stems[a['image_id']], names[a['category_id']], *a['bbox']) for a in raw['annotations'])
    assert got == wanted
    assert [c['name'] for c in data['categories']] == ['person', 'car', 'bicycle']


def test_the_time_rule_holds_for_no_other_frames():
    assert [time_of(f'FLIR_{n:05d}') for n in (2, 8863, 8864, 9018, 9019, 9318, 9319, 9323, 9672, 10228)] == [
        None, None, 'night', 'night', 'day', 'day', None, 'night', 'day', None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('visible', 'infrared', 'xml'),
    [
        ('JPEGImages/{}_RGB.jpg', 'JPEGImages/{}_PreviewData.jpeg', '{}_PreviewData'),
        ('JPEGImages/{}_RGB.jpg', 'JPEGImages/{}_PreviewData.jpg', '{}_PreviewData'),
        ('JPEGImages/{}.jpeg_RGB.jpg', 'JPEGImages/{}.jpg', '{}'),
        ('vis/{}.jpg', 'ir/{}.jpg', '{}'),
        ('align/rgb/train/{}.png', 'align/thermal/train/{}.png', '{}_PreviewData'),
    ],
)
def test_names_and_folders_are_recognised_by_looking(tmp_path, visible, infrared, xml):
    for stem in ('FLIR_00002', 'FLIR_09019'):
        images = scene(1, (64, 48))
        for name, image in zip((visible, infrared), images):
            write_image(tmp_path / name.format(stem), image)
        write_image(tmp_path / f'Annotations/{stem}_mask.jpg', images[1])
        write(tmp_path / f'Annotations/{xml.format(stem)}.xml', voc([('car', (0, 0, 9, 9))]))
    splits, manifest = convert('flir', tmp_path)
    prefix = manifest['data_prefix']
    for split, stem in (('train', 'FLIR_00002'), ('test', 'FLIR_09019')):
        (image,) = splits[split]['images']
        assert prefix['img'] + image['file_name'] == visible.format(stem)
        assert prefix['ir'] + image['file_name_ir'] == infrared.format(stem)
        assert (image['width'], image['height']) == (64, 48)
    assert 'frame number' in manifest['source']['split_by']


def test_lists_decide_the_split_and_their_order(tmp_path):
    flir(tmp_path)
    write(tmp_path / 'align_train.txt', 'FLIR_09323_PreviewData\nFLIR_00002_PreviewData\n')
    write(tmp_path / 'align_validation.txt', 'FLIR_00003_PreviewData\n')
    splits, manifest = convert('flir', tmp_path)
    names = {s: [i['file_name'][:10] for i in d['images']] for s, d in splits.items()}
    assert names == dict(train=['FLIR_09323', 'FLIR_00002'], test=['FLIR_00003'])
    assert manifest['splits']['train']['aliases_merged'] == {'bike -> bicycle': 2}


def test_coco_files_with_lwir_names(tmp_path):
    for folder, image in zip(('visible', 'lwir'), scene(0, (64, 48))):
        write_image(tmp_path / folder / 'FLIR_09019.jpg', image)
    coco = dict(
        images=[
            dict(id='a', file_name='FLIR_09019.jpg', file_name_lwir='FLIR_09019.jpg', width=64, height=48)
        ],
        annotations=[dict(id=1, image_id='a', category_id=7, bbox=[1, 2, 3.5, 4])],
        categories=[dict(id=7, name='bike')],
    )
    write(tmp_path / 'annotations/val.json', json.dumps(coco))
    splits, manifest = convert('flir', tmp_path)
    assert manifest['data_prefix'] == dict(img='visible/', ir='lwir/')
    assert splits['test']['images'][0]['time'] == 'day'
    assert splits['test']['annotations'][0]['bbox'] == [1, 2, 3.5, 4]
    assert splits['test']['annotations'][0]['category_id'] == 3
    again, _ = convert('flir', tmp_path)  # its own output beside the source is no second source
    assert again == splits
    coco['images'][0]['file_name_lwir'] = '../../etc/passwd'
    write(tmp_path / 'annotations/val.json', json.dumps(coco))
    with pytest.raises(InputError, match='leads out of its folder'):
        convert('flir', tmp_path)


def test_unusable_pairs_are_left_out_and_named(tmp_path):
    flir(tmp_path, ('FLIR_00002', 'FLIR_00003', 'FLIR_00004', 'FLIR_00005', 'FLIR_00006'))
    (tmp_path / 'JPEGImages/FLIR_00002_RGB.jpg').unlink()
    (tmp_path / 'Annotations/FLIR_00003_PreviewData.xml').unlink()
    jpeg = tmp_path / 'JPEGImages/FLIR_00004_PreviewData.jpeg'
    jpeg.write_bytes(jpeg.read_bytes()[:-2000])
    write_image(tmp_path / 'JPEGImages/FLIR_00005_RGB.jpg', scene(0, (64, 48))[0])
    splits, manifest = convert('flir', tmp_path)
    assert [i['file_name'][:10] for i in splits['train']['images']] == ['FLIR_00006']
    assert {k: v['pairs'] for k, v in manifest['splits']['train']['left_out'].items()} == {
        'visible image missing': ['FLIR_00002'],
        'without a label file': ['FLIR_00003'],
        'infrared image truncated': ['FLIR_00004'],
        'images of two sizes': ['FLIR_00005'],
    }


def test_what_cannot_be_decided_is_refused(tmp_path):
    with pytest.raises(InputError, match='so this is no folder of FLIR-aligned'):
        convert('flir', tmp_path)
    flir(tmp_path)
    write(tmp_path / 'align_train.txt', 'FLIR_00002\nFLIR_09019\n')
    with pytest.raises(InputError, match='FLIR_09019 is in two splits'):
        convert('flir', tmp_path)
    write(tmp_path / 'align_train.txt', '../../etc/passwd\n')
    with pytest.raises(InputError, match='line 1 should name a frame'):
        convert('flir', tmp_path)
