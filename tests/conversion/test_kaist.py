import json
from collections import Counter

import pytest
from conversion.folders import convert, kaist, scene, write, write_image

from mmslg.errors import InputError


@pytest.fixture(scope='module')
def improved(shared, tmp_path_factory):
    """The published improved test labels, converted."""
    splits, manifest = convert('kaist', shared / 'kaist_improved_txt', tmp_path_factory.mktemp('kaist'))
    return splits['test'], manifest


def test_published_counts(improved):
    data, manifest = improved
    assert len(data['images']) == 2252
    assert manifest['splits']['test']['boxes'] == {
        'person': 3390,
        'people': 597,
        'person?': 177,
        'cyclist': 90,
    }
    assert manifest['splits']['test']['times'] == dict(day=1455, night=797)
    assert all(i['time'] == 'day' for i in data['images'][:1455])
    persons = [a for a in data['annotations'] if a['label'] == 'person']
    assert Counter(a['occlusion'] for a in persons) == {0: 2677, 1: 480, 2: 233}
    labelled = {a['image_id'] for a in data['annotations'] if a['label'] == 'person'}
    assert manifest['source']['labels_only'] and manifest['source']['version'] == 'published test labels'
    assert len(labelled) < 2252
    assert manifest['splits']['test']['remarks'] == {'kept as they are: across the edge of the image': 39}


@pytest.mark.parametrize(
    ('height', 'occlusions', 'day', 'night'), [(55, (0, 1), 989, 466), (20, (0, 1, 2), 2304, 972)]
)
def test_reasonable_and_all(improved, height, occlusions, day, night):
    data, _ = improved
    times = {i['id']: i['time'] for i in data['images']}

    def counts(a):
        x, y, w, h = a['bbox']
        inside = x >= 5 and y >= 5 and x + w <= 635 and y + h <= 507
        return not a['ignore'] and a['height'] >= height and a['occlusion'] in occlusions and inside

    assert Counter(times[a['image_id']] for a in data['annotations'] if counts(a)) == dict(
        day=day, night=night
    )


def test_equal_to_the_published_json_box_by_box(improved, shared):
    data, _ = improved
    published = json.loads((shared / 'kaist_mr/KAIST_annotation.json').read_text())
    order = (shared / 'kaist_mr/test-all-20.txt').read_text().split()
    assert [i['im_name'] for i in data['images']] == order == [i['im_name'] for i in published['images']]
    assert [i['id'] - 1 for i in data['images']] == [i['id'] for i in published['images']]
    fields = ('bbox', 'height', 'occlusion', 'ignore')
    got = [(a['image_id'] - 1, *(a[f] for f in fields)) for a in data['annotations']]
    assert got == [(a['image_id'], *(a[f] for f in fields)) for a in published['annotations']]
    names = {c['id']: c['name'] for c in published['categories']}
    assert all(names[c['id']] == c['name'] for c in data['categories'])


def test_real_flat_pairs(shared, tmp_path):
    splits, manifest = convert('kaist', shared / 'kaist_pairs', tmp_path)
    images = splits['test']['images']
    assert len(images) == 13 and manifest['data_prefix'] == dict(img='images/', ir='images/')
    assert images[0]['file_name'] == 'set06_V001_I00459_visible.png'
    assert images[0]['file_name_ir'] == 'set06_V001_I00459_lwir.png'
    assert Counter(i['time'] for i in images) == dict(day=6, night=7)


@pytest.mark.parametrize(('labels', 'occlusion', 'modality'), [('ir', 1, 'ir'), ('rgb', 0, 'visible')])
def test_paired_training_labels(tmp_path, labels, occlusion, modality):
    kaist(tmp_path)
    splits, manifest = convert('kaist', tmp_path, labels=labels)
    assert splits['train']['annotations'][0]['occlusion'] == occlusion
    assert splits['train']['info']['label_modality'] == modality
    assert splits['test']['info']['label_modality'] == 'both'
    assert [i['time'] for i in splits['test']['images']] == ['day', 'night']
    assert splits['train']['images'][0]['file_name_ir'] == 'set00/V000/lwir/I00001.jpg'
    assert 'paired' in manifest['source']['labels']['train']
    assert splits['test']['annotations'][1]['ignore'] == 1


def test_xml_labels(tmp_path):
    item = '<object><name>person</name><bndbox><x>1</x><y>2</y><w>3</w><h>40</h></bndbox>{}</object>'
    for n in (19, 21):
        write(
            tmp_path / f'annotations-xml/set06/V000/I{n:05d}.xml',
            f'<annotation>{item.format("<occlusion>1</occlusion>")}</annotation>',
        )
    splits, manifest = convert('kaist', tmp_path)
    assert len(splits['test']['images']) == 1  # every 20th frame
    assert (
        splits['test']['annotations'][0] | dict(bbox=[1, 2, 3, 40], occlusion=1, height=40)
        == (splits['test']['annotations'][0])
    )
    assert 'every 20th frame, 1 of 2' in manifest['source']['lists']['test']


def test_improved_labels_win_over_the_original_ones(tmp_path):
    kaist(tmp_path, ('set06/V000/I00019',))
    write(tmp_path / 'original/set06/V000/I00019.txt', '% bbGt version=3\n')
    splits, manifest = convert('kaist', tmp_path)
    assert len(splits['test']['annotations']) == 2
    assert manifest['source']['labels']['test'] == 'flat bbGt txt (improved labels) in annotations'


def test_training_lists(tmp_path):
    frames = ('set00/V000/I00001', 'set00/V000/I00003', 'set01/V000/I00005')
    kaist(tmp_path, frames)
    write(tmp_path / 'imageSets/train-all-02.txt', '\n'.join(frames[:2]))
    splits, manifest = convert('kaist', tmp_path)
    assert [i['im_name'] for i in splits['train']['images']] == list(frames[:2])
    assert manifest['source']['lists']['train'] == 'list imageSets/train-all-02.txt of 2 frames'
    write(tmp_path / 'imageSets/train-all-04.txt', frames[0])
    with pytest.raises(InputError, match=r'several training lists.*--train-list'):
        convert('kaist', tmp_path)
    splits, _ = convert('kaist', tmp_path, train_list='train-all-04.txt')
    assert len(splits['train']['images']) == 1
    with pytest.raises(InputError, match=r'--train-list absent\.txt: is no file'):
        convert('kaist', tmp_path, train_list='absent.txt')


def test_no_kaist(tmp_path):
    write_image(tmp_path / 'images/set00/V000/lwir/I00001.jpg', scene(0, (64, 48))[1])
    with pytest.raises(InputError, match='so this is no folder of KAIST'):
        convert('kaist', tmp_path)
