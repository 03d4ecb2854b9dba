import json

import numpy as np
import pytest
from conversion.folders import CAR, convert, dronevehicle, real_dronevehicle, scene, voc, write, write_image

from mmslg.errors import InputError

INNER = [100, 100, 160, 100, 160, 140, 100, 140]


def only(root, **options):
    splits, manifest = convert('dronevehicle', root, **options)
    return splits['train'], manifest['splits']['train'], manifest


def test_the_real_pairs(shared, tmp_path):
    root = real_dronevehicle(shared, tmp_path)
    splits, manifest = convert('dronevehicle', root, edge='keep')
    boxes = {k: sum(s['boxes'].get(k, 0) for s in manifest['splits'].values()) for k in manifest['classes']}
    assert boxes == {'car': 211, 'truck': 3, 'freight-car': 1, 'bus': 2, 'van': 0}
    assert manifest['classes'] == ['car', 'truck', 'freight-car', 'bus', 'van']
    assert manifest['source']['numbering'] == 'renumbered (val)'
    crossing = sum(
        n for s in manifest['splits'].values() for k, n in s['remarks'].items() if 'across the edge' in k
    )
    assert crossing == 33
    image = splits['val']['images'][0]
    assert (image['width'], image['height'], image['crop']) == (640, 512, [100, 100, 640, 512])
    clipped, manifest = convert('dronevehicle', root, edge='clip')
    for data in clipped.values():
        assert data['info']['edge'] == 'clip' and data['info']['label_modality'] == 'ir'
        for a in data['annotations']:
            points = np.reshape(a['segmentation'][0], (4, 2))
            assert (points >= 0).all() and (points <= (640, 512)).all()
            low, high = points.min(0), points.max(0)
            assert np.allclose(a['bbox'], [*low, *(high - low)], atol=0.01)
    dropped, manifest = convert('dronevehicle', root, edge='drop')
    assert sum(len(d['annotations']) for d in dropped.values()) == 217 - 33


def test_polygons_come_out_in_content_coordinates(tmp_path):
    data, _, _ = only(dronevehicle(tmp_path))
    assert data['annotations'][0]['segmentation'] == [INNER]
    assert data['annotations'][0]['bbox'] == [100, 100, 60, 40] and data['annotations'][0]['area'] == 2400
    assert data['images'][0]['file_name'] == 'train/trainimg/00001.jpg'
    assert data['images'][0]['file_name_ir'] == 'train/trainimgr/00001.jpg'


def test_images_without_border(tmp_path):
    root = dronevehicle(tmp_path, padded=False)  # the XML still says 840x712
    data, _, _ = only(root)
    assert data['annotations'][0]['segmentation'] == [INNER] and 'crop' not in data['images'][0]
    for path in (root / 'train/trainlabelr').iterdir():
        path.write_text(voc([('car', CAR)], (640, 512)))
    data, _, _ = only(root)
    assert data['annotations'][0]['segmentation'] == [list(CAR)]


def test_boxes_and_points(tmp_path):
    boxes = [('van', (200, 210, 230, 260)), ('car', (210, 220))]
    extra = '<object><name>bus</name></object>'
    root = dronevehicle(tmp_path, ('00001',), boxes=boxes)
    write(root / 'train/trainlabelr/00001.xml', voc(boxes, (840, 712), extra, '00001.jpg'))
    data, summary, _ = only(root)
    assert data['annotations'][0]['segmentation'] == [[100, 110, 130, 110, 130, 160, 100, 160]]
    assert summary['boxes'] == dict(van=1)
    assert summary['remarks'] == {
        'upright boxes (bndbox) taken as oriented ones': 1,
        'dropped: a point without a box': 1,
        'dropped: an object without a box': 1,
    }


@pytest.mark.parametrize(
    ('name', 'label'),
    [
        *(
            (n, 'freight-car')
            for n in ('feright car', 'feright_car', 'feright', 'freight car', 'Freight-Car')
        ),
        ('truvk', 'truck'),
        ('truck', 'truck'),
        ('*', None),
        ('plane', None),
    ],
)
def test_every_alias(tmp_path, name, label):
    root = dronevehicle(tmp_path, ('00001',), boxes=[(name, CAR), ('car', CAR)])
    data, summary, _ = only(root)
    classes = {c['id']: c['name'] for c in data['categories']}
    assert [classes[a['category_id']] for a in data['annotations']] == ([label] if label else []) + ['car']
    assert summary['aliases_merged'] == ({f'{name} -> {label}': 1} if label and name != label else {})
    assert summary['remarks'] == ({} if label else {f"dropped: class '{name}'": 1})


@pytest.mark.parametrize(
    ('edge', 'remark', 'bbox'),
    [
        ('clip', 'clipped', [0, 100, 40, 40]),
        ('keep', 'kept as they are', [-20, 100, 60, 40]),
        ('drop', 'dropped', None),
    ],
)
def test_edge_policies(tmp_path, edge, remark, bbox):
    crossing = (80, 200, 140, 200, 140, 240, 80, 240)
    outside = (10, 200, 90, 200, 90, 240, 10, 240)
    root = dronevehicle(tmp_path, ('00001',), boxes=[('car', crossing), ('car', outside), ('bus', CAR)])
    data, summary, manifest = only(root, edge=edge)
    boxes = [a['bbox'] for a in data['annotations']]
    assert boxes == ([bbox] if bbox else []) + [[100, 100, 60, 40]]
    assert summary['remarks'] == {
        f'{remark}: across the edge of the content': 1,
        'dropped: outside the content': 1,
    }
    assert manifest['policies']['boxes_across_the_edge'] == edge == data['info']['edge']


def test_labels_of_either_image(tmp_path):
    root = dronevehicle(tmp_path, ('00001',))
    write(root / 'train/trainlabel/00001.xml', voc([('bus', CAR)], (840, 712), filename='00001.jpg'))
    assert only(root)[1]['boxes'] == dict(car=1)
    data, summary, _ = only(root, labels='rgb')
    assert summary['boxes'] == dict(bus=1) and data['info']['label_modality'] == 'visible'
    (root / 'train/trainlabel/00001.xml').unlink()
    with pytest.raises(InputError, match=r'no XML files in trainlabel; .* --labels ir'):
        only(root, labels='rgb')


def test_damaged_files_are_left_out_and_named(tmp_path):
    root = dronevehicle(tmp_path, ('00001', '00002', '00003', '00004'))
    jpeg = root / 'train/trainimg/00002.jpg'
    jpeg.write_bytes(jpeg.read_bytes()[:5000])
    (root / 'train/trainimg/00003.jpg').unlink()
    (root / 'train/trainimgr/00003.jpg').unlink()
    (root / 'train/trainlabelr/00004.xml').write_text(voc([('car', CAR)], (840, 712), filename='D:/x/9.jpg'))
    data, summary, manifest = only(root)
    assert [i['file_name'][-9:] for i in data['images']] == ['00001.jpg', '00004.jpg']
    assert summary['left_out'] == {'visible image truncated': dict(count=1, pairs=['train/00002'])}
    assert manifest['problems'] == {'orphan-label': dict(count=1, items=['train/trainlabelr/00003.xml'])}
    assert summary['remarks'] == {'wrong <filename> in the XML, not used': 1}


@pytest.mark.parametrize('prefix', ['', 'DroneVehicle/'])
def test_renumbered_splits_and_nested_folders(tmp_path, prefix):
    for split, stem in (('train', '00001'), ('val', '17991'), ('test', '19460')):
        dronevehicle(tmp_path / prefix, (stem,), split, padded=False)
    splits, manifest = convert('dronevehicle', tmp_path)
    assert manifest['source']['numbering'] == 'renumbered (val, test)'
    assert manifest['data_prefix'] == dict(img=prefix, ir=prefix)
    assert [d['images'][0]['file_name'] for d in splits.values()] == [
        'test/testimg/19460.jpg', 'train/trainimg/00001.jpg', 'val/valimg/17991.jpg',
    ]  # fmt: skip


def test_keys_of_the_splits_differ_though_official_numbers_repeat(tmp_path):
    for split in ('train', 'val'):
        dronevehicle(tmp_path, ('00001',), split, padded=False)
    splits, manifest = convert('dronevehicle', tmp_path)
    assert manifest['source']['numbering'] == 'official'
    assert len({d['images'][0]['file_name'] for d in splits.values()}) == 2


def test_no_dronevehicle(tmp_path):
    write_image(tmp_path / 'trainimg/00001.jpg', scene(0, (64, 48))[0])
    with pytest.raises(InputError, match='so this is no folder of DroneVehicle'):
        convert('dronevehicle', tmp_path)
    assert json.dumps(sorted(p.name for p in tmp_path.iterdir())) == '["trainimg"]'
