"""COCO's mAP: equal to pycocotools, by condition, and with absent classes left out."""

import contextlib
import io
import math

import pytest
from evaluation.drawn import CLASSES, draw_split
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmslg.evaluation.functional import (
    evaluate_by_condition,
    evaluate_coco,
    format_coco,
    load_truth,
    notes_on_truth,
)
from mmslg.evaluation.functional.coco_ap import STATS


def reference(data, detections, image_ids=None):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = data
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(detections), 'bbox')
        if image_ids:
            evaluation.params.imgIds = image_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:6], evaluation.eval['precision']


def test_equal_to_pycocotools_over_all_and_by_condition():
    data, detections = draw_split()
    rows = evaluate_by_condition(load_truth(data), detections, CLASSES)
    assert list(rows) == ['all', 'day', 'night']
    for name, row in rows.items():
        ids = None if name == 'all' else [i['id'] for i in data['images'] if i['time'] == name]
        stats, precision = reference(data, detections, ids)
        assert list(row.stats.values()) == pytest.approx(stats.tolist(), abs=1e-6), name
        assert row.num_images == (len(ids) if ids else 40)
        for k, kind in enumerate(CLASSES):
            part = precision[:, :, k, 0, -1]
            assert row.classes[kind].ap == pytest.approx(part[part > -1].mean(), abs=1e-6)
            assert row.classes[kind].ap_50 == pytest.approx(part[0].mean(), abs=1e-6)
    assert 0.1 < rows['all'].stats['mAP'] < 0.9 and rows['day'].stats != rows['night'].stats


def test_a_case_by_hand():
    """Two persons; one found exactly, one not, and a wrong one of higher score in between: AP 0.5 * 1/2."""
    data = dict(
        images=[dict(id=1)],
        categories=[dict(id=1, name='person'), dict(id=2, name='car')],
        annotations=[
            dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 10, 10], area=100, iscrowd=0),
            dict(id=2, image_id=1, category_id=1, bbox=[50, 50, 10, 10], area=100, iscrowd=0),
        ],
    )
    detections = [
        dict(image_id=1, category_id=1, bbox=[80, 80, 10, 10], score=0.9),
        dict(image_id=1, category_id=1, bbox=[0, 0, 10, 10], score=0.8),
    ]
    row = evaluate_coco(load_truth(data), detections, ('person', 'car'))
    # Precision is 1/2 for the 51 recalls 0, 0.01, ..., 0.50 of 101, and 0 beyond.
    assert row.stats['mAP'] == pytest.approx(51 * 0.5 / 101)
    assert row.classes['person'].boxes == 2 and row.classes['car'].boxes == 0
    assert math.isnan(row.classes['car'].ap)
    text = format_coco({'all': row})
    assert 'no ground truth of car: left out of every mean' in text and 'protocol' not in text
    assert row.to_dict()['classes']['car'] == dict(boxes=0, AP=None, AP_50=None)


def test_without_detections_everything_is_zero():
    data, _ = draw_split()
    row = evaluate_coco(load_truth(data), [], CLASSES)
    assert [row.stats[name] for name in STATS[:3]] == [0, 0, 0]
    assert all(c.ap == 0 and c.boxes for c in row.classes.values())


@pytest.mark.parametrize('shift', [-1, -60, 2**40])
def test_ids_of_annotations_do_not_tell(shift):
    data, detections = draw_split()
    expected = evaluate_coco(load_truth(data), detections, CLASSES)
    assert notes_on_truth(data) == []
    for annotation in data['annotations']:
        annotation['id'] += shift
    assert evaluate_coco(load_truth(data), detections, CLASSES) == expected
    notes = notes_on_truth(data)
    assert len(notes) == (shift < 0) and all(note.startswith('annotation 0: ') for note in notes)
    assert data['annotations'][0]['id'] == 1 + shift


def test_boxes_marked_ignore_count_as_for_pycocotools():
    data, detections = draw_split()
    before = evaluate_coco(load_truth(data), detections, CLASSES)
    for annotation in data['annotations'][:3]:
        annotation['ignore'] = 1
    assert evaluate_coco(load_truth(data), detections, CLASSES) == before
    assert notes_on_truth(data) == ['3 boxes are marked ignore, and count like any other, as for pycocotools']
    assert list(before.stats.values()) == pytest.approx(reference(data, detections)[0].tolist(), abs=1e-6)
