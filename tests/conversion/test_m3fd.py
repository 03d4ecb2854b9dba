import json
import shutil

import pytest
from conversion.folders import convert, m3fd, scene, verify, voc, write, write_image

from mmslg.errors import InputError

TRAIN = dict(car=14668, people=9340, lamp=1654, truck=691, bus=556, motorcycle=415)
VAL = dict(car=3623, people=2133, lamp=751, truck=317, bus=144, motorcycle=106)


def test_the_split_in_use(shared, tmp_path):
    """Labels alone, category ids from 0: the published counts, box by box the published boxes."""
    splits, manifest = convert('m3fd', shared / 'm3fd_ann', tmp_path)
    assert {s: len(d['images']) for s, d in splits.items()} == dict(train=3368, val=831)
    assert {s: v['boxes'] for s, v in manifest['splits'].items()} == dict(train=TRAIN, val=VAL)
    assert all(not v['remarks'] and not v['left_out'] for v in manifest['splits'].values())
    assert manifest['source']['version'].startswith('split of 3368 and 831 pairs')
    assert splits['val']['info']['split_list'] == 'm3fd_val_new.json'
    assert manifest['source']['lists'] == dict(train='m3fd_train_new.json', val='m3fd_val_new.json')
    sizes = [(i['width'], i['height']) for i in splits['train']['images']]
    assert sizes.count((1024, 768)) == 3102 and min(sizes) < (880, 520)
    for split, data in splits.items():
        published = json.loads((shared / f'm3fd_ann/m3fd_{split}_new.json').read_text())
        assert boxes(data) == boxes(published)
    assert [c['name'] for c in splits['val']['categories']] == [
        'people', 'car', 'bus', 'motorcycle', 'lamp', 'truck',
    ]  # fmt: skip


def boxes(data):
    files = {i['id']: i['file_name'] for i in data['images']}
    names = {c['id']: c['name'].lower() for c in data['categories']}
    return sorted((files[a['image_id']], names[a['category_id']], *a['bbox']) for a in data['annotations'])


def test_the_real_pairs(shared, tmp_path):
    root = shutil.copytree(shared / 'm3fd_pairs', tmp_path / 'm3fd', copy_function=shutil.copyfile)
    data = verify('m3fd', root)
    assert data['fit_to_train'] and data['failed'] == [] and 'a part of the dataset' in data['verdict']
    assert data['shift']['reliable'] == 5
    splits, manifest = convert('m3fd', root)
    assert list(splits) == ['all'] and splits['all']['info']['split_list'] == 'none: all pairs'
    assert manifest['splits']['all']['boxes'] == dict(people=21, car=32, lamp=8)
    assert boxes(splits['all']) == boxes(json.loads((root / 'annotations.json').read_text()))
    assert all((i['width'], i['height']) == (1024, 768) for i in splits['all']['images'])
    write(root / 'train.txt', '00000.png\n00001.png\n')
    write(root / 'meta/val.txt', 'M3FD_00471\n')
    (root / 'annotations_all.json').unlink()
    splits, manifest = convert('m3fd', root)
    names = {s: [i['file_name'] for i in d['images']] for s, d in splits.items()}
    assert names == dict(train=['00000.png', '00001.png'], val=['M3FD_00471.png'])
    assert splits['val']['info']['split_list'] == 'meta/val.txt'
    assert manifest['source']['split_by'] == 'train: train.txt, val: meta/val.txt'


@pytest.mark.parametrize(
    'folders',
    [('vis', 'ir'), ('Vis', 'Ir'), ('VIS', 'IR'), ('visible', 'infrared'), ('x/Visible', 'x/Infrared')],
)
def test_folders_in_any_spelling_and_images_of_several_sizes(tmp_path, folders):
    for n, size in enumerate(((64, 48), (80, 60), (40, 30))):
        for folder, image in zip(folders, scene(n, size)):
            write_image(tmp_path / folder / f'0000{n}.png', image)
        objects = [('People', (1, 2, 9, 12)), ('Motorcycle', (4, 5, 20, 20)), ('dog', (1, 1, 5, 5))]
        write(tmp_path / f'Annotation/0000{n}.xml', voc(objects, size))
    splits, manifest = convert('m3fd', tmp_path)
    assert manifest['data_prefix'] == dict(img=f'{folders[0]}/', ir=f'{folders[1]}/')
    assert [(i['width'], i['height']) for i in splits['all']['images']] == [(64, 48), (80, 60), (40, 30)]
    assert manifest['splits']['all']['boxes'] == dict(people=3, motorcycle=3)
    assert manifest['splits']['all']['remarks'] == {"dropped: class 'dog'": 3}
    assert verify('m3fd', tmp_path)['failed'] == ['stray-class']


def test_labels_alone_take_their_sizes_from_the_labels(tmp_path):
    write(tmp_path / '00001.xml', voc([('Car', (1, 2, 9, 12))], (800, 480)))
    write(tmp_path / '00002.xml', voc([('Car', (1, 2, 9, 12))]))
    splits, manifest = convert('m3fd', tmp_path)
    (image,) = splits['all']['images']
    assert (image['width'], image['height'], image['file_name']) == (800, 480, '00001.png')
    assert manifest['splits']['all']['left_out'] == {
        'without an image and a size in the labels': dict(count=1, pairs=['00002'])
    }


def test_what_is_missing_or_ambiguous_is_named(tmp_path):
    with pytest.raises(InputError, match='so this is no folder of M3FD'):
        convert('m3fd', tmp_path)
    root = m3fd(tmp_path)
    (root / 'Ir/00002.png').unlink()
    write(root / 'Annotation/00009.xml', voc([]))
    write(root / 'train.txt', '00001\n00002\n00077\n')
    _, manifest = convert('m3fd', root)
    assert manifest['splits']['train']['left_out'] == {
        'infrared image missing': dict(count=1, pairs=['00002']),
        'without a label file': dict(count=1, pairs=['00077']),
    }
    assert manifest['problems'] == {'orphan-label': dict(count=1, items=['Annotation/00009.xml'])}
    write(root / 'val.txt', '00001\n00003\n')
    with pytest.raises(InputError, match='00001 is in two splits'):
        convert('m3fd', root)
    write(root / 'val_2.txt', '00003\n')
    with pytest.raises(InputError, match=r'val\.txt and val_2\.txt are both lists of val pairs'):
        convert('m3fd', root)


def test_two_files_for_one_split_are_refused(tmp_path, shared):
    for name in ('a_train.json', 'b_train.json'):
        shutil.copyfile(shared / 'm3fd_pairs/annotations.json', tmp_path / name)
    with pytest.raises(InputError, match=r'a_train\.json and b_train\.json are both for train pairs'):
        convert('m3fd', tmp_path)
