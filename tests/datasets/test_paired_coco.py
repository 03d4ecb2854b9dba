import json
import pickle

import cv2
import pytest
import torch
from helpers import write_captions, write_pairs
from mmdet.datasets import ConcatDataset

from mmslg.datasets.paired_coco import PairedCocoDataset, list_steps
from mmslg.errors import InputError

CLASSES = ('person', 'car', 'bicycle')


def build(folder, ann_file='annotations_train.json', **kwargs):
    kwargs.setdefault('metainfo', dict(classes=CLASSES))
    return PairedCocoDataset(data_root=str(folder), ann_file=ann_file, **kwargs)


def change(folder, **changes):
    path = folder / 'annotations_train.json'
    data = json.loads(path.read_text())
    for key, function in changes.items():
        data[key] = function(data[key])
    path.write_text(json.dumps(data))


@pytest.fixture
def folder(tmp_path):
    write_pairs(tmp_path)
    return tmp_path


@pytest.fixture
def logged(monkeypatch):
    """What a dataset says when it is loaded, as a list of lines."""
    lines = []
    monkeypatch.setattr('mmslg.datasets.paired_coco.print_log', lambda line, logger: lines.append(line))
    return lines


def refused(folder, message, **kwargs):
    with pytest.raises(InputError, match=message) as error:
        build(folder, **kwargs)
    assert '\n' not in str(error.value)


def test_a_pair_has_both_files_and_its_boxes(folder):
    dataset = build(folder)
    info = dataset.get_data_info(0)
    assert len(dataset) == 4
    assert info['img_path'] == str(folder / 'visible/train_001.png')
    assert info['ir_path'] == str(folder / 'infrared/train_001.png')
    assert info['file_name'] == 'train_001.png'
    assert info['instances'] == [dict(ignore_flag=0, bbox=[12, 10, 36, 42], bbox_label=1)]
    assert dict(dataset.metainfo) == dict(classes=CLASSES)


@pytest.mark.parametrize('key', ['file_name_ir', 'file_name_lwir'])
def test_infrared_file_of_its_own_name(folder, key):
    (folder / 'infrared/train_001.png').rename(folder / 'infrared/FLIR_1_PreviewData.png')
    change(folder, images=lambda images: [{**images[0], key: 'FLIR_1_PreviewData.png'}, *images[1:]])
    assert build(folder).get_data_info(0)['ir_path'] == str(folder / 'infrared/FLIR_1_PreviewData.png')


@pytest.mark.parametrize(('sub', 'what'), [('visible', 'visible'), ('infrared', 'infrared')])
def test_missing_file_is_named_before_training_starts(folder, sub, what):
    (folder / sub / 'train_003.png').unlink()
    refused(folder, f'{sub}/train_003.png: no such {what} image; 1 of 4 are missing')


def test_boxes_of_other_classes_are_counted(folder, logged):
    change(
        folder,
        categories=lambda c: [*c, dict(id=4, name='dog')],
        annotations=lambda a: [
            *a,
            {**a[0], 'id': 9, 'category_id': 4},
            {**a[0], 'id': 10, 'bbox': [500, 1, 5, 5]},
        ],
    )
    build(folder)
    log = '\n'.join(logged)
    assert '; 1 boxes of other classes, left out; 1 boxes outside their image, left out' in log
    assert 'boxes drawn in: ir' in log


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(annotations=lambda a: [{**a[0], 'image_id': 77}]),
            'annotation 1 points to image 77, which the file does not list',
        ),
        (
            dict(annotations=lambda a: [{'id': 5, 'image_id': 1}]),
            'annotation 5 lacks category_id, bbox',
        ),
        (dict(images=lambda i: []), 'the file lists no image'),
        (dict(images=lambda i: i + i[:1]), 'image id 1 is given 2 times'),
        (dict(images=lambda i: [{'id': 1, 'file_name': 'x.png'}]), 'image x.png lacks width, height'),
        (
            dict(
                categories=lambda c: c[:2],
                annotations=lambda boxes: [box for box in boxes if box['category_id'] < 3],
            ),
            'no category bicycle in the file; it has person, car',
        ),
        (
            dict(categories=lambda c: c[::-1]),
            'stand in the order bicycle, car, person, the config says person, car, bicycle',
        ),
        (dict(categories=lambda c: 'none'), 'wanted COCO form'),
    ],
)
def test_annotations_that_cannot_be_used(folder, changes, message):
    change(folder, **changes)
    refused(folder, message)


def test_empty_annotation_file(folder):
    (folder / 'annotations_train.json').write_text('')
    refused(folder, 'annotations_train.json: the file is empty')


def test_classes_are_due_and_the_message_shows_them(folder):
    refused(folder, r"metainfo=dict\(classes=\('person', 'car', 'bicycle'\)\)", metainfo=dict())


def test_a_subset_of_classes_in_file_order_is_fine(folder):
    dataset = build(folder, metainfo=dict(classes=('person', 'bicycle')))
    assert sorted({i['bbox_label'] for d in dataset for i in d['instances']}) == [0, 1]


def test_filtered_pairs_are_counted(folder, logged):
    change(folder, annotations=lambda a: a[:1])
    assert len(build(folder, filter_cfg=dict(filter_empty_gt=True))) == 1
    assert '3 pairs left out by filter_cfg' in '\n'.join(logged)


def test_the_annotations_say_where_images_lie_and_which_split_they_are(folder):
    for sub, name in (('visible', 'rgb'), ('infrared', 'thermal')):
        (folder / sub).rename(folder / name)
    refused(folder, 'visible/train_001.png: no such visible image')
    change(
        folder, info=lambda info: {**info, 'data_prefix': dict(img='rgb/', ir='thermal/'), 'split': 'train'}
    )
    dataset = build(folder)
    assert dataset.get_data_info(0)['ir_path'] == str(folder / 'thermal/train_001.png')
    (folder / 'rgb').rename(folder / 'colour')
    chosen = build(folder, data_prefix=dict(img='colour/', ir='thermal/'))
    assert chosen.get_data_info(0)['img_path'] == str(folder / 'colour/train_001.png')


def test_only_the_cropped_part_of_the_files_counts(folder):
    files = {sub: cv2.imread(str(folder / sub / 'train_001.png')) for sub in ('visible', 'infrared')}
    change(
        folder,
        images=lambda images: [
            {**images[0], 'crop': [10, 6, 80, 50], 'width': 80, 'height': 50},
            *images[1:],
        ],
    )
    pipeline = [dict(type='mmslg.LoadVisible'), dict(type='mmslg.LoadInfrared')]
    dataset = PairedCocoDataset(
        data_root=str(folder),
        ann_file='annotations_train.json',
        metainfo=dict(classes=CLASSES),
        pipeline=pipeline,
    )
    img = dataset[0]['img']
    assert (img[..., :3] == files['visible'][6:56, 10:90]).all()
    assert (img[..., 3] == files['infrared'][6:56, 10:90, 0]).all()
    assert dataset[0]['ori_shape'] == (50, 80) and dataset[1]['ori_shape'] == (64, 96)


@pytest.mark.parametrize('crop', [[0, 0, 10], [0, 0, 0, 5], [-1, 0, 5, 5], [0, 0, 5.5, 5], 'all'])
def test_a_crop_that_is_none(folder, crop):
    change(folder, images=lambda images: [{**images[0], 'crop': crop}, *images[1:]])
    refused(folder, r'crop of image train_001\.png should be (x, y, width, height|a whole number)')


def test_images_of_another_size_than_annotated_or_smaller_than_the_crop(folder):
    pipeline = [dict(type='mmslg.LoadVisible')]
    options = dict(metainfo=dict(classes=CLASSES), pipeline=pipeline)
    change(folder, images=lambda images: [{**images[0], 'width': 90}, *images[1:]])
    dataset = PairedCocoDataset(data_root=str(folder), ann_file='annotations_train.json', **options)
    with pytest.raises(
        InputError, match=r'train_001\.png: the image is 96x64 pixels, the annotations say 90x64'
    ):
        dataset[0]
    change(folder, images=lambda images: [{**images[0], 'crop': [50, 0, 90, 64], 'width': 90}, *images[1:]])
    dataset = PairedCocoDataset(data_root=str(folder), ann_file='annotations_train.json', **options)
    with pytest.raises(InputError, match=r'96x64 pixels, and crop=\[50, 0, 90, 64\].* reaches beyond'):
        dataset[0]


def test_oriented_boxes_are_the_corners_of_the_segmentation(folder, caplog):
    corners = [10, 10, 30, 20, 25, 30, 5, 20]
    change(folder, annotations=lambda boxes: [{**boxes[0], 'segmentation': [corners]}, *boxes[1:]])
    dataset = build(folder, box_type='qbox')
    assert dataset.get_data_info(0)['instances'][0]['bbox'] == corners
    x1, y1, x2, y2 = build(folder).get_data_info(1)['instances'][0]['bbox']
    assert dataset.get_data_info(1)['instances'][0]['bbox'] == [x1, y1, x2, y1, x2, y2, x1, y2]
    refused(folder, "box_type must be one of .*, got 'rbox'", box_type='rbox')
    change(folder, annotations=lambda boxes: [{**boxes[0], 'segmentation': [corners[:6]]}, *boxes[1:]])
    refused(folder, 'not one polygon of four corners', box_type='qbox')


def test_oriented_boxes_learned_upright_are_told(folder, logged):
    def corners(slanted):
        def change_all(boxes):
            for box in boxes:
                x, y, w, h = box['bbox']
                box['segmentation'] = [[x + slanted, y, x + w, y, x + w, y + h, x, y + h]]
            return boxes

        return change_all

    told = (
        "4 oriented boxes taken as upright ones (box_type='qbox' and a head for them, as in "
        'configs/slgnet_mini_oriented.py, keep their angle)'
    )
    for slanted, box_type, wanted in ((0, 'hbox', False), (3, 'hbox', True), (3, 'qbox', False)):
        change(folder, annotations=corners(slanted))
        build(folder, box_type=box_type)
        assert (told in logged[-1]) == wanted
    change(folder, annotations=lambda boxes: [*boxes[:3], {**boxes[3], 'segmentation': []}])
    build(folder)  # single quadrangles among other segmentations are no oriented boxes
    assert 'oriented boxes' not in logged[-1]


def test_the_caption_belongs_to_the_pair(pairs):
    """Text and embedding are there before an image is read, through wrappers and after pickling too."""
    dataset = build(pairs, caption_store='captions.safetensors')
    info = pickle.loads(pickle.dumps(dataset)).get_data_info(1)
    assert info['text'].shape == (4, 512) and info['text'].dtype == torch.float32
    assert torch.equal(info['text'], dataset.get_data_info(1)['text'])
    assert info['caption'].objects == '1 objects'
    test = dict(ann_file='annotations_test.json', caption_store=str(pairs / 'captions.safetensors'))
    both = ConcatDataset([dataset, build(pairs, **test)])
    assert both.get_data_info(4)['caption'].objects == '4 objects' and both.metainfo['classes'] == CLASSES
    assert 'text' not in build(pairs).get_data_info(0)


def test_variants_of_the_caption(pairs):
    true = build(pairs, caption_store='captions.safetensors').get_data_info(0)
    shuffled = build(pairs, caption_store='captions.safetensors', caption_variant='shuffled')
    assert shuffled.get_data_info(0)['caption'] != true['caption']
    silent = build(pairs, caption_store='captions.safetensors', caption_variant='none').get_data_info(0)
    assert silent['caption'] is None and not silent['text'].any()


def test_stores_of_two_splits(pairs):
    write_captions(pairs / 'a.safetensors', ['other.png'])
    info = build(pairs, caption_store=['a.safetensors', 'captions.safetensors']).get_data_info(0)
    assert info['text'].shape == (4, 512)
    write_captions(pairs / 'b.safetensors', ['train_001.png'], width=64)
    refused(pairs, 'come from different encoders', caption_store=['a.safetensors', 'b.safetensors'])


def test_a_pair_without_caption_is_named_when_the_dataset_is_loaded(pairs):
    write_captions(pairs / 'captions.safetensors', ['train_001.png'])
    refused(pairs, r'no caption for image train_002\.png', caption_store='captions.safetensors')


def test_the_steps_of_a_pipeline_have_names():
    load, flip, pack = dict(type='a'), [dict(type='b'), dict(type='c')], dict(type='d')
    assert list_steps(dict(pack=pack, flip=flip, augment=None, visible=load)) == [load, *flip, pack]
    assert list_steps([pack, load]) == [pack, load] and list_steps(()) == []
    with pytest.raises(
        InputError, match='a pipeline has no step rezise; its steps are visible, photometric, '
    ):
        list_steps(dict(visible=load, rezise=pack))
    with pytest.raises(InputError, match=r"the step flip of the pipeline is 'no': wanted a transform"):
        list_steps(dict(visible=load, flip='no'))
    with pytest.raises(InputError, match='pipeline=None: wanted steps by name, or a list'):
        list_steps(None)


def test_the_key_has_slashes_however_the_file_writes_it(folder):
    (folder / 'visible/train').mkdir()
    (folder / 'infrared/train').mkdir()
    for sub in ('visible', 'infrared'):
        (folder / sub / 'train_001.png').rename(folder / sub / 'train/1.png')
    change(folder, images=lambda images: [{**images[0], 'file_name': 'train\\1.png'}, *images[1:]])
    info = build(folder).get_data_info(0)
    assert info['file_name'] == 'train/1.png' and info['ir_path'] == str(folder / 'infrared/train/1.png')


def test_nothing_to_learn_from_and_nothing_to_test_on(folder):
    change(folder, annotations=lambda a: [{**box, 'ignore': 1} for box in a])
    refused(folder, 'no box of person, car, bicycle to learn from')
    assert len(build(folder, test_mode=True)) == 4
    change(folder, annotations=lambda a: [])
    refused(folder, 'there is no box in it', test_mode=True)


def test_filters_of_training(folder):
    change(folder, images=lambda images: [{**images[0], 'width': 20, 'crop': [0, 0, 20, 64]}, *images[1:]])
    assert len(build(folder, filter_cfg=dict(min_size=32))) == 3
    for wrong in (dict(min_sise=3), dict(min_size='x')):
        refused(folder, r'filter_cfg knows filter_empty_gt and min_size \(pixels\), got .', filter_cfg=wrong)
    refused(folder, 'leaves out every pair', filter_cfg=dict(min_size=1000))


@pytest.mark.parametrize('prefix', [dict(visible='x'), dict(img_path='x'), dict(img=None), 'visible', 3])
def test_folders_that_are_none(folder, prefix):
    refused(folder, r'data_prefix should be folders \{"img": ..., "ir": ...\}', data_prefix=prefix)


def test_one_folder_for_both_images_however_it_is_written(folder):
    for same in ('visible', './visible', 'visible//', 'infrared/../visible'):
        refused(folder, 'is the visible image of train_001.png', data_prefix=dict(img='visible', ir=same))


def test_a_crowd_alone_teaches_nothing(folder):
    change(folder, annotations=lambda a: [{**box, 'iscrowd': 1} for box in a])
    refused(folder, 'no box of person, car, bicycle to learn from')


def test_a_variant_of_captions_wants_captions(folder):
    for variant in ('shuffled', 'best'):
        refused(folder, f'caption_variant={variant!r} wants a caption_store', caption_variant=variant)


def test_corners_without_area_are_left_out(folder, logged):
    bow_tie = [[10, 10, 30, 30, 30, 10, 10, 30]]
    for corners in ([[10, 10] * 4], bow_tie):
        change(folder, annotations=lambda boxes, c=corners: [{**boxes[0], 'segmentation': c}, *boxes[1:]])
        assert build(folder, box_type='qbox').get_data_info(0)['instances'] == []
    assert '1 boxes whose corners enclose less than a pixel, left out' in '\n'.join(logged)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(ann_file=['a.json', 'b.json']), 'wanted paths as ann_file and data_root, got '),
        (dict(caption_store=3), 'caption_store=3: wanted a file, or a list of files'),
        (dict(caption_store='x', caption_seed='y'), "caption_seed='y': wanted a whole number from 0"),
        (dict(filter_cfg=[1]), r'filter_cfg knows filter_empty_gt and min_size .* got \[1\]'),
    ],
)
def test_settings_of_another_kind(folder, options, message):
    refused(folder, message, **options)


def test_a_root_that_is_no_folder(tmp_path):
    """It is said before its caption store is missed."""
    refused(tmp_path / 'nowhere', 'nowhere.: no such folder', caption_store='captions.safetensors')
