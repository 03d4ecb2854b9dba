import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import HOOKS, VISUALIZERS
from mmengine.structures import InstanceData

from mmslg.errors import InputError
from mmslg.visualization.palette import class_colour

# A file of 700x600 whose border of 30 x 20 pixels does not count; the object lies at (100, 200) of the rest.
CROP = (30, 20, 640, 560)
OBJECT = [100.0, 200, 180, 260]
LEFT, RIGHT, TOP = 10, 660, 50
"""Where both pictures lie on the page."""


@pytest.fixture
def visualizer(tmp_path, request):
    built = VISUALIZERS.build(
        dict(
            type='mmslg.PairVisualizer',
            name=f'{request.node.name}',
            vis_backends=[dict(type='LocalVisBackend')],
            save_dir=str(tmp_path),
        )
    )
    built.dataset_meta = dict(classes=('person', 'car'))
    return built


@pytest.fixture
def make_sample(tmp_path):
    def make(key='a.png', found=(OBJECT,), truth=(), scores=(0.9,), labels=(1,), crop=CROP):
        visible = np.full((600, 700, 3), 255, np.uint8)
        infrared = np.full((600, 700), 255, np.uint8)
        visible[20:580, 30:670], infrared[20:580, 30:670] = (120, 0, 0), 60
        visible[220:280, 130:210], infrared[220:280, 130:210] = (0, 120, 0), 220
        paths = [tmp_path / folder / key for folder in ('visible', 'infrared')]
        for path, image in zip(paths, (visible, infrared)):
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image)
        sample = DetDataSample(
            metainfo=dict(img_path=str(paths[0]), ir_path=str(paths[1]), crop=crop, file_name=key)
        )
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor(found), scores=torch.tensor(scores), labels=torch.tensor(labels)
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(truth).reshape(len(truth), -1 if truth else 4),
            labels=torch.zeros(len(truth), dtype=torch.long),
        )
        return sample

    return make


def pixel(page, x, y):
    return tuple(page[y, x].tolist())


def test_boxes_lie_on_the_object_in_both_pictures_of_a_file_with_a_border(tmp_path, visualizer, make_sample):
    visualizer.add_datasample('a', None, make_sample(), out_file=tmp_path / 'out/a.png')
    page = cv2.imread(str(tmp_path / 'out/a.png'))
    assert page.shape == (50 + 560 + 10 + 30, 10 + 640 + 10 + 640 + 10, 3)
    for left, thing, ground in ((LEFT, (0, 120, 0), (120, 0, 0)), (RIGHT, (220,) * 3, (60,) * 3)):
        for x, y in ((100, 230), (180, 230), (140, 260)):  # the box's left, right and lower side
            assert pixel(page, left + x, TOP + y) == class_colour(1)
        assert pixel(page, left + 105, TOP + 230) == pixel(page, left + 175, TOP + 230) == thing
        assert pixel(page, left + 95, TOP + 230) == pixel(page, left + 185, TOP + 230) == ground


def test_oriented_boxes(tmp_path, visualizer, make_sample):
    # Centre (140, 230), 60 along, 80 across, turned by 90 degrees: the same upright box.
    sample = make_sample(found=[[140.0, 230, 60, 80, math.pi / 2]])
    visualizer.add_datasample('a', None, sample, out_file=tmp_path / 'a.png')
    page = cv2.imread(str(tmp_path / 'a.png'))
    for left in (LEFT, RIGHT):
        for x, y in ((100, 230), (180, 230), (140, 260)):
            assert pixel(page, left + x, TOP + y) == class_colour(1)


def test_weak_predictions_and_what_is_not_asked_for_are_left_out(tmp_path, visualizer, make_sample):
    def edge(name, **options):
        sample = make_sample(
            found=[OBJECT, [300.0, 200, 380, 260]], scores=[0.29, 0.3], labels=[1, 1],
            truth=[[500.0, 200, 580, 260]],
        )  # fmt: skip
        visualizer.add_datasample('a', None, sample, out_file=tmp_path / name, **options)
        page = cv2.imread(str(tmp_path / name))
        return [set(page[TOP + 205 : TOP + 255, LEFT + x, 0].tolist()) for x in (100, 300, 500)]

    ground, orange = {0, 120}, {class_colour(0)[0]}
    weak, strong, truth = edge('a.png')
    assert weak <= ground and strong == {class_colour(1)[0]} and truth == {255, 40}  # dashed
    assert edge('b.png', draw_gt=False)[2] <= ground
    # Without predictions the ground truth has its classes' colours.
    weak, strong, truth = edge('c.png', draw_pred=False)
    assert weak <= ground and strong <= ground and truth == orange


def test_backends_get_the_picture_where_no_file_is_asked_for(tmp_path, visualizer, make_sample):
    visualizer.add_datasample('a', None, make_sample(), step=7)
    (written,) = tmp_path.rglob('vis_image/*')
    assert written.name == 'a_7.png'
    assert pixel(cv2.imread(str(written)), LEFT + 100, TOP + 230) == class_colour(1)  # not red for blue


def test_what_cannot_be_drawn_or_shown_is_said(tmp_path, visualizer, make_sample):
    with pytest.raises(InputError, match=r'no screen to show pictures on; write them with --show-dir'):
        visualizer.add_datasample('a', None, make_sample(), show=True)
    with pytest.raises(InputError, match=r'the sample has no img_path, ir_path: pack it with'):
        visualizer.add_datasample('a', None, DetDataSample(metainfo=dict(file_name='a')))
    with pytest.raises(InputError, match=r'a\.png: the image is 700x600 pixels, and crop=\[100, 0, 640, 512'):
        visualizer.add_datasample('a', None, make_sample(crop=(100, 0, 640, 512)))
    with pytest.raises(InputError, match=r'a\.gif: wanted the name of a picture, which ends in \.png or'):
        visualizer.add_datasample('a', None, make_sample(), out_file=tmp_path / 'a.gif')


def test_a_folder_without_a_name_is_refused():
    with pytest.raises(InputError, match="--show-dir ' ': wanted a folder, got an empty name"):
        hook(test_out_dir=' ')


def hook(**options):
    return HOOKS.build(dict(type='mmslg.PairVisualizationHook', draw=True, **options))


def test_pictures_of_a_test_are_named_by_the_whole_key(tmp_path, visualizer, make_sample):
    runner = SimpleNamespace(visualizer=visualizer, work_dir=str(tmp_path), timestamp='now', iter=0)
    keys = ['set06/V000/I00019.jpg', 'set06/V001/I00019.jpg', 'set06_V000/I00019.png', 'I00019.jpg']
    shown = hook(test_out_dir='shown')
    shown.after_test_iter(runner, 0, {}, [make_sample(key) for key in keys[:2]])
    shown.after_test_iter(runner, 1, {}, [make_sample(key) for key in keys[2:]])
    assert {path.name for path in (tmp_path / 'now/shown').iterdir()} == {
        'set06_V000_I00019.png', 'set06_V001_I00019.png', 'set06_V000_I00019_2.png', 'I00019.png',
    }  # fmt: skip
    assert not (tmp_path / 'vis_data').exists() or not [*tmp_path.rglob('vis_image/*')]


def test_validation_draws_the_same_pairs_each_time(tmp_path, visualizer, make_sample):
    runner = SimpleNamespace(visualizer=visualizer)
    batches = [[make_sample(f'{i}.png'), make_sample(f'{i}b.png')] for i in range(5)]
    each_second, off = hook(interval=2), HOOKS.build(dict(type='mmslg.PairVisualizationHook'))
    for runner.iter in (400, 800):
        for i, batch in enumerate(batches):
            each_second.after_val_iter(runner, i, {}, batch)
            off.after_val_iter(runner, i, {}, batch)
            off.after_test_iter(runner, i, {}, batch)
    wanted = {f'{i}_{step}.png' for i in (0, 2, 4) for step in (400, 800)}
    assert {path.name for path in tmp_path.rglob('vis_image/*')} == wanted


def test_every_process_writes_its_pictures_and_the_first_alone_fills_the_backends(
    tmp_path, visualizer, make_sample, monkeypatch
):
    monkeypatch.setattr('mmengine.dist.utils.is_main_process', lambda group=None: False)
    visualizer.dataset_meta = dict(classes=('bus', 'van'))
    visualizer.add_datasample('a', None, make_sample(), out_file=tmp_path / 'a.png')
    visualizer.add_datasample('b', None, make_sample())
    assert (tmp_path / 'a.png').is_file()
    assert visualizer.dataset_meta['classes'] == ('bus', 'van')
    assert not [*tmp_path.rglob('vis_image/*')]
