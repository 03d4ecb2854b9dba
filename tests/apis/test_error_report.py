import json

import cv2
import numpy as np
import pytest
import torch
from helpers import TINY, make_pairs, run_here, write_leaf, write_pairs, write_weights
from mmengine.config import Config

from mmslg.annotations import read_annotations
from mmslg.apis.error_report import (
    figures_by_group,
    find_errors,
    overlaps,
    worst_false_alarms,
    worst_misses,
)
from mmslg.apis.fiftyone_export import write_fiftyone
from mmslg.apis.inference import predict
from mmslg.apis.launch import parse_options
from mmslg.apis.profiling import build_detector
from mmslg.visualization.boxes import Boxes, to_polygons

CLASSES = ['person', 'car', 'bicycle']


@pytest.fixture
def split(tmp_path):
    """Three pairs with one box each, which know time and occlusion."""
    data = write_pairs(tmp_path, 3, split='test')
    for image, time in zip(data['images'], ('day', 'night', 'night')):
        image['time'] = time
    for box, level in zip(data['annotations'], (0, 1, 2)):
        box['occlusion'] = level
    (tmp_path / 'annotations_test.json').write_text(json.dumps(data))
    return read_annotations(tmp_path / 'annotations_test.json')


def found_on(split, scores, moved=()):
    """What is annotated, found; boxes of the pairs in ``moved`` are moved away."""
    found = {}
    for box, score in zip(split.data['annotations'], scores):
        x, y, w, h = box['bbox']
        x += 200 * (box['image_id'] in moved)
        corners = to_polygons(np.array([[x, y, x + w, y + h]], float))
        found[box['image_id']] = Boxes(corners, np.array([box['category_id'] - 1]), np.array([score]))
    return found


def coco(split, scores):
    boxes = split.data['annotations']
    keys = ('image_id', 'category_id', 'bbox')
    return [{key: box[key] for key in keys} | dict(score=score) for box, score in zip(boxes, scores)]


def test_misses_and_false_alarms_are_the_worst_first(split):
    rows = find_errors(split, found_on(split, (0.9, 0.8, 0.2), moved=(1, 2)), CLASSES, 0.3)
    assert [row.errors.missed.tolist() for row in rows] == [[True]] * 3
    alarms = worst_false_alarms(rows, 5)
    assert [(row.pair.id, row.found.scores[i]) for row, i in alarms] == [(1, 0.9), (2, 0.8)]
    assert len(worst_misses(rows, 2)) == 2


def test_the_largest_miss_comes_first(split):
    split.data['annotations'][2]['bbox'] = [0, 0, 90, 60]
    rows = find_errors(split, {}, CLASSES, 0.3)
    assert worst_misses(rows, 1)[0][0].pair.id == 3


def test_groups_are_those_of_the_annotations(split):
    detections = coco(split, (0.9, 0.8, 0.7))[:2]  # nothing in the third pair
    rows = figures_by_group(split.data, detections, CLASSES)
    assert list(rows) == ['all', 'time=day', 'time=night', 'occlusion=0', 'occlusion=1', 'occlusion=2']
    assert rows['time=day'].stats['mAP_50'] == pytest.approx(1)
    assert rows['time=night'].stats['mAP_50'] == pytest.approx(0.5)
    # Boxes of other levels are neither hits nor misses.
    assert rows['occlusion=0'].stats['mAP_50'] == rows['occlusion=1'].stats['mAP_50'] == pytest.approx(1)
    assert rows['occlusion=2'].stats['mAP_50'] == 0
    assert split.data['annotations'][0]['iscrowd'] == 0
    # One width only: it tells no groups apart.
    assert list(figures_by_group(split.data, detections, CLASSES, ['width'])) == list(rows)


def test_a_field_of_ones_own_makes_groups(split):
    for image in split.data['images']:
        image['weather'] = 'fog' if image['id'] == 3 else 'clear'
    rows = figures_by_group(split.data, coco(split, (0.9, 0.8, 0.7)), CLASSES, ['weather'])
    assert (rows['weather=clear'].num_images, rows['weather=fog'].num_images) == (2, 1)


def test_overlaps_of_oriented_boxes():
    square = to_polygons(np.array([[10.0, 10, 8, 8, 0], [10.0, 10, 8, 8, np.pi / 4]]))
    ious = overlaps(square[:1], square, oriented=True)
    # A square and itself turned by 45 degrees share an octagon.
    shared = 2 * (np.sqrt(2) - 1)
    np.testing.assert_allclose(ious, [[1, shared / (2 - shared)]], atol=1e-4)
    assert overlaps(square[:1], square[:0], oriented=True).shape == (1, 0)


def test_fiftyone_gets_its_documented_layout(split, tmp_path):
    rows = find_errors(split, found_on(split, (0.9, 0.8, 0.7), moved=(2,)), CLASSES, 0.3)
    files = write_fiftyone(tmp_path / 'fo', rows, CLASSES)
    assert len(files) == 6 and all(file.is_file() for file in files)
    read = {path.relative_to(tmp_path / 'fo').as_posix(): json.loads(path.read_text()) for path in files}
    for modality in ('visible', 'infrared'):
        images = read[f'{modality}/data.json']
        assert images['test_001.png'] == str(tmp_path / modality / 'test_001.png')
        truth, found = (read[f'{modality}/{name}.json'] for name in ('ground_truth', 'predictions'))
        assert truth['classes'] == CLASSES and truth['labels'].keys() == {'test_001', 'test_002', 'test_003'}
        box = split.data['annotations'][0]
        x, y, w, h = box['bbox']
        label = truth['labels']['test_001'][0]
        assert label['bounding_box'] == pytest.approx([x / 96, y / 64, w / 96, h / 64], abs=1e-5)
        assert label['attributes']['occlusion'] == 0 and label['attributes']['time'] == 'day'
        kinds = [labels[0]['attributes']['kind'] for labels in found['labels'].values()]
        assert kinds == ['hit', 'background', 'hit']
        assert found['labels']['test_001'][0]['confidence'] == 0.9


def test_boxes_for_fiftyone_are_those_of_the_whole_file(split, tmp_path):
    data = split.data
    for image in data['images']:
        image.update(crop=[6, 4, 80, 56], width=80, height=56)
    (tmp_path / 'annotations_test.json').write_text(json.dumps(data))
    rows = find_errors(read_annotations(tmp_path / 'annotations_test.json'), {}, CLASSES, 0.3)
    write_fiftyone(tmp_path / 'fo', rows, CLASSES)
    labels = json.loads((tmp_path / 'fo/visible/ground_truth.json').read_text())['labels']
    x, y, w, h = data['annotations'][0]['bbox']
    expected = [(x + 6) / 96, (y + 4) / 64, w / 96, h / 64]
    assert labels['test_001'][0]['bounding_box'] == pytest.approx(expected, abs=1e-5)


def analysed(folder, monkeypatch, tmp_path, *args):
    return run_here('error_analysis.py', monkeypatch, folder / 'leaf.py', *args, '--out', tmp_path / 'out')


def test_the_tool_reads_detections(monkeypatch, tmp_path, capsys):
    folder = make_pairs(tmp_path / 'pairs')
    split = read_annotations(folder / 'annotations_test.json')
    rows = [row | dict(image_id=9 - row['image_id']) for row in coco(split, (0.9, 0.8, 0.2))]
    images = [dict(id=9 - pair.id, file_name=pair.key) for pair in split.pairs]
    (tmp_path / 'd.json').write_text(json.dumps(dict(images=images, annotations=rows)))
    more = ['--dets', tmp_path / 'd.json', '--json', tmp_path / 'e.json', '--fiftyone', tmp_path / 'fo']
    assert not analysed(folder, monkeypatch, tmp_path, *more, '--by', 'weather')
    out = capsys.readouterr().out
    assert '--by weather: nothing in the annotations tells groups apart by it' in out
    assert '3 pairs, from a score of 0.3: 2 hit, 0 confused' in out and '1 missed' in out
    figures = json.loads((tmp_path / 'e.json').read_text())
    assert np.sum(figures['confusion']) == 3 and np.trace(figures['confusion']) == 2
    assert figures['groups']['all']['mAP_50'] == pytest.approx(1)
    assert (tmp_path / 'out/errors.html').is_file() and not (tmp_path / 'out/false_alarms.png').exists()
    # One tile: two pictures of 220 pixels side by side.
    assert cv2.imread(str(tmp_path / 'out/misses.png')).shape == (50 + 220 + 10, 10 + 220 + 10 + 220 + 10, 3)


def test_the_tool_wants_a_checkpoint_or_detections(monkeypatch, tmp_path, capsys):
    folder = make_pairs(tmp_path / 'pairs')
    assert analysed(folder, monkeypatch, tmp_path) == 1
    assert 'error: wanted either CHECKPOINT' in capsys.readouterr().err
    (tmp_path / 'd.json').write_text('[]')
    both = '--dets', tmp_path / 'd.json', '--json', tmp_path / 'd.json'
    assert analysed(folder, monkeypatch, tmp_path, *both) == 1
    assert 'the output is the input' in capsys.readouterr().err


def test_detecting_here_gives_what_its_detections_give(monkeypatch, tmp_path, capsys):
    folder = make_pairs(tmp_path / 'pairs')
    cfg = Config.fromfile(folder / 'leaf.py')
    cfg.merge_from_dict(parse_options(TINY))
    torch.save({'state_dict': build_detector(cfg).state_dict()}, tmp_path / 'w.pth')
    common = ['--score-thr', 0.0, '--json', tmp_path / 'e.json', '--cfg-options', *TINY]
    assert not analysed(folder, monkeypatch, tmp_path, tmp_path / 'w.pth', *common), capsys.readouterr().err
    figures = json.loads((tmp_path / 'e.json').read_text())
    kinds = figures['errors']
    assert sum(kinds.values()) - kinds['missed'] > 0
    assert kinds['hit'] + kinds['confused'] + kinds['missed'] == 3
    assert (tmp_path / 'out/false_alarms.png').is_file()


def test_coco_results_are_refused_for_oriented_boxes(monkeypatch, tmp_path, capsys):
    folder = make_pairs(tmp_path / 'pairs')
    with open(folder / 'leaf.py', 'a') as file:
        file.write("default_scope = 'mmrotate'\n")
    assert analysed(folder, monkeypatch, tmp_path, '--dets', tmp_path / 'd.json') == 1
    assert 'COCO results are upright boxes' in capsys.readouterr().err


def test_the_tool_on_oriented_boxes(monkeypatch, tmp_path, capsys):
    """A thin bar, turned by 45 degrees, has the upright box of what is annotated, and misses it yet."""
    folder = make_pairs(tmp_path / 'pairs')
    cfg = Config.fromfile(write_leaf(folder, 'slgnet_mini_oriented.py'))
    cfg.merge_from_dict(parse_options(TINY))
    write_weights(folder / 'w.pth', build_detector(cfg))
    truth = read_annotations(folder / 'annotations_test.json').data['annotations']

    def found_for(model, packed, score_thr=0.0):
        found = predict(model, packed, score_thr)[:1]
        assert found.bboxes.shape == (1, 5)
        [box] = [box for box in truth if box['image_id'] == packed['data_samples'].img_id]
        x, y, w, h = box['bbox']
        turned = {1: (w, h, 0), 2: (h, w, np.pi / 2), 3: (32, 8, np.pi / 4)}[box['image_id']]
        found.bboxes = torch.tensor([[x + w / 2, y + h / 2, *turned]])
        found.labels = torch.tensor([box['category_id'] - 1])
        found.scores = torch.tensor([0.9])
        return found

    monkeypatch.setattr('mmslg.apis.inference.predict', found_for)
    more = ['--json', tmp_path / 'e.json', '--fiftyone', tmp_path / 'fo', '--cfg-options', *TINY]
    assert not analysed(folder, monkeypatch, tmp_path, folder / 'w.pth', *more), capsys.readouterr().err
    assert 'tools/test.py has that of oriented ones' in capsys.readouterr().out
    kinds = json.loads((tmp_path / 'e.json').read_text())['errors']
    assert (kinds['hit'], kinds['misplaced'], kinds['missed'], sum(kinds.values())) == (2, 1, 1, 4)
    for name in ('misses', 'false_alarms', 'confusion'):
        assert cv2.imread(str(tmp_path / f'out/{name}.png')).any()
    labels = json.loads((tmp_path / 'fo/visible/predictions.json').read_text())['labels']['test_003']
    side = 40 / np.sqrt(2)
    assert labels[0]['bounding_box'][2:] == pytest.approx([side / 96, side / 64], abs=1e-4)
