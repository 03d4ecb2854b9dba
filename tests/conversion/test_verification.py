import json
import os
import shutil
import struct

import cv2
import numpy as np
import pytest
from conversion.folders import (
    CAR,
    MAKERS,
    convert,
    dronevehicle,
    flir,
    kaist,
    llvip,
    scene,
    verify,
    voc,
    write,
)
from conversion.folders import write_image as save

from mmslg.conversion.llvip import LlvipReader

STEMS = ('010001', '010002', '010003', '010004', '010005')


def box(*points, name='person'):
    return lambda root: write(root / 'Annotations/010002.xml', voc([(name, points)], (640, 512)))


def edit(path, change):
    def plant(root):
        image = cv2.imread(str(root / path), cv2.IMREAD_UNCHANGED)
        save(root / path, change(image))

    return plant


def cut(path, end=b''):
    def plant(root):
        data = (root / path).read_bytes()
        (root / path).write_bytes(data[: len(data) // 2] + end)

    return plant


def moved(image, dx, dy):
    return cv2.warpAffine(image, np.float32([[1, 0, dx], [0, 1, dy]]), image.shape[1::-1])


def swap(root):
    (root / 'visible').rename(root / 'x')
    (root / 'infrared').rename(root / 'visible')
    (root / 'x').rename(root / 'infrared')


def swap_one(root):
    a, b = root / 'visible/train/010002.jpg', root / 'infrared/train/010002.jpg'
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second), b.write_bytes(first)


def shift_all(root):
    for path in (root / 'infrared').rglob('*.jpg'):
        edit(path.relative_to(root), lambda image: moved(image, 12, -7))(root)


def copy(source, target):
    return lambda root: shutil.copy(root / source, root / target)


def loop(path):
    def plant(root):
        (root / path).unlink()
        (root / path).symlink_to((root / path).name)

    return plant


def pipe(path):
    def plant(root):
        (root / path).unlink()
        os.mkfifo(root / path)

    return plant


def new_label(root):
    convert('llvip', root)
    (root / 'annotations_train.json').write_text('{}')


HUGE_PNG = b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR' + struct.pack('>IIBBBBB', 40000, 40000, 8, 2, 0, 0, 0) + b'IEND'
VIS, IR, XML = 'visible/train/010002.jpg', 'infrared/train/010002.jpg', 'Annotations/010002.xml'
# ruff: noqa: E501
LLVIP_DEFECTS = {
    'visible missing': ('missing-visible', lambda root: (root / VIS).unlink()),
    'infrared missing': ('missing-infrared', lambda root: (root / IR).unlink()),
    'label missing': ('missing-label', lambda root: (root / XML).unlink()),
    'label alone': ('orphan-label', copy(XML, 'Annotations/999999.xml')),
    'image alone': ('orphan-image', copy(VIS, 'visible/train/999999.jpg')),
    'pair in two splits': ('split-overlap', lambda root: [copy(p, p.replace('train', 'test'))(root) for p in (VIS, IR)]),
    'no image': ('unreadable', lambda root: (root / IR).write_text('<html>404</html>')),
    'empty image': ('unreadable', lambda root: (root / VIS).write_bytes(b'')),
    'truncated jpeg': ('truncated', cut(VIS)),
    'jpeg cut and closed again': ('unreadable', cut(VIS, b'\xff\xd9')),
    'link to itself': ('unreadable', loop(VIS)),
    'pipe': ('missing-visible', pipe(VIS)),
    'huge header': ('unreadable', lambda root: (root / IR).write_bytes(HUGE_PNG)),
    'blank image': ('blank-image', edit(IR, lambda image: image * 0)),
    'two sizes': ('size-mismatch', edit(IR, lambda image: cv2.resize(image, (320, 256)))),
    'another size': ('wrong-size', lambda root: [edit(p, lambda i: cv2.resize(i, (800, 640)))(root) for p in (VIS, IR)]),
    'broken xml': ('bad-label', lambda root: (root / XML).write_text('<annotation><object>')),
    'nan': ('bad-label', box(1, 2, 'nan', 9)),
    'entities': ('bad-label', lambda root: (root / XML).write_text('<!DOCTYPE a><annotation/>')),
    'stray class': ('stray-class', box(1, 2, 30, 40, name='tree')),
    'box outside': ('box-outside', box(600, 20, 700, 90)),
    'empty box': ('empty-box', box(30, 20, 30, 90)),
    'point': ('no-box', lambda root: (root / XML).write_text(voc([], extra='<object><name>person</name></object>'))),
    'box twice': ('duplicate-box', lambda root: write(root / XML, voc([('person', (1, 2, 30, 40))] * 2))),
    'duplicate pair': ('duplicate-image', lambda root: [copy(p, p.replace('2.', '3.'))(root) for p in (VIS, IR)]),
    'one image for both': ('same-image', copy(VIS, IR)),
    'folders swapped': ('swapped', swap),
    'files swapped': ('swapped', swap_one),
    'grey visible': ('grey-visible', edit(VIS, lambda i: cv2.cvtColor(i, cv2.COLOR_BGR2GRAY))),
    'all shifted': ('misaligned', shift_all),
    'one shifted': ('misaligned-pair', edit(IR, lambda image: moved(image, 25, 10))),
    'stale annotations': ('converted', new_label),
}  # fmt: skip


def overlay(root, name, change):
    return edit(f'train/{name}/00002.jpg', change)(root)


def unpad(root):
    for name in ('trainimg', 'trainimgr'):
        overlay(root, name, lambda image: image[100:-100, 100:-100])


DRONE_DEFECTS = {
    'border gone in one': ('border', unpad),
    'no border': ('border', lambda root: overlay(root, 'trainimg', lambda i: cv2.resize(i[100:-100, 100:-100], (840, 712)))),
    'outside': ('box-outside', lambda root: write(root / 'train/trainlabelr/00002.xml', voc([('car', [v + 700 for v in CAR])]))),
    'stray': ('stray-class', lambda root: write(root / 'train/trainlabelr/00002.xml', voc([('plane', CAR)]))),
    'xml without image': ('orphan-label', copy('train/trainlabelr/00002.xml', 'train/trainlabelr/00009.xml')),
}  # fmt: skip


@pytest.mark.parametrize('dataset', MAKERS)
def test_a_sound_sample_passes(dataset, tmp_path):
    data = verify(dataset, MAKERS[dataset](tmp_path))
    assert data['fit_to_train'] and data['failed'] == [] and 'a part of the dataset' in data['verdict']


@pytest.mark.parametrize('name', LLVIP_DEFECTS)
def test_a_planted_defect_is_named_and_nothing_else(name, tmp_path):
    kind, plant = LLVIP_DEFECTS[name]
    root = llvip(tmp_path, STEMS, ('190001', '190002'))
    plant(root)
    data = verify('llvip', root)
    assert data['failed'] == [kind] and not data['fit_to_train']
    check = next(c for c in data['checks'] if c['kind'] == kind)
    assert check['action'] and check['count'] == len(check['items'])
    if name not in ('folders swapped', 'all shifted'):
        assert check['count'] == 1, check['items']
    assert set(data['warned']) <= {'resized', 'label-size'}


@pytest.mark.parametrize('name', DRONE_DEFECTS)
def test_defects_of_dronevehicle(name, tmp_path):
    kind, plant = DRONE_DEFECTS[name]
    root = dronevehicle(tmp_path, ('00001', '00002', '00003', '00004'))
    plant(root)
    data = verify('dronevehicle', root)
    found = next(c for c in data['checks'] if c['kind'] == kind)
    assert kind in data['failed'] and '0000' in found['items'][0]
    assert set(data['failed']) <= {kind, 'misaligned-pair'}


def test_known_flaws_of_the_published_data_do_not_fail(tmp_path):
    root = dronevehicle(tmp_path, ('00001', '09012'), boxes=[('car', CAR), ('*', CAR)])
    cut('train/trainimg/09012.jpg')(root)
    data = verify('dronevehicle', root)
    assert data['fit_to_train']
    assert next(c for c in data['checks'] if c['kind'] == 'truncated')['known'] == [
        'train/trainimg/09012.jpg'
    ]


def test_an_incomplete_download_fails_a_sample_does_not(tmp_path, monkeypatch):
    root = llvip(tmp_path, STEMS, ('190001', '190002'))
    monkeypatch.setattr(LlvipReader, 'pairs', dict(train=6, test=2))
    monkeypatch.setattr(LlvipReader, 'versions', dict(corrected=dict(test=dict(person=2))))
    data = verify('llvip', root)
    assert data['failed'] == ['incomplete']
    assert next(c for c in data['checks'] if c['kind'] == 'incomplete')['items'] == ['train: 5 of 6 pairs']
    monkeypatch.setattr(LlvipReader, 'pairs', dict(train=5, test=2))
    assert verify('llvip', root)['warned'] == ['resized']
    monkeypatch.setattr(LlvipReader, 'versions', dict(corrected=dict(test=dict(person=3))))
    assert verify('llvip', root)['warned'] == ['resized', 'label-version']


def test_mixed_forms_of_flir_and_kaist(tmp_path):
    root = flir(tmp_path / 'flir')
    (root / 'JPEGImages/FLIR_00002_PreviewData.jpeg').unlink()
    assert verify('flir', root)['failed'] == ['missing-infrared']
    root = kaist(tmp_path / 'kaist')
    save(root / 'images/set06/V000/lwir/I00059.jpg', scene(9)[1])
    assert verify('kaist', root)['failed'] == ['orphan-image']
    text = '% bbGt version=3\nperson 600 20 60 70 0 0 0 0 0 0 0\n'
    write(root / 'annotations/set06_V000_I00019.txt', text)
    assert set(verify('kaist', root)['failed']) == {'orphan-image', 'box-outside'}
    assert json.dumps(verify('kaist', root), allow_nan=False)
