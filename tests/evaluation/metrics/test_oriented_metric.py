import json
import multiprocessing.dummy

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from mmrotate.evaluation import eval_rbbox_map
from mmrotate.structures import RotatedBoxes

from mmslg.errors import InputError
from mmslg.evaluation.metrics import OrientedAPMetric

CLASSES = ('car', 'truck', 'van')


def samples(num=10, seed=0):
    """Oriented boxes of cars and trucks, none of vans; predictions near most of them, and wrong ones."""
    rng = np.random.default_rng(seed)
    for i in range(num):
        count = 6
        boxes = np.column_stack(
            [rng.uniform(0, 500, (count, 2)), rng.uniform(15, 60, (count, 2)), rng.uniform(-1.5, 1.5, count)]
        )
        labels = rng.integers(0, 2, count)
        near = boxes + rng.normal(0, 1, boxes.shape) * (2, 2, 3, 3, 0.1)
        far = boxes + np.array([0, 300, 0, 0, 0])
        sample = DetDataSample(metainfo=dict(img_id=i, time=('day', 'night')[i % 2]))
        sample.gt_instances = InstanceData(bboxes=RotatedBoxes(boxes), labels=torch.tensor(labels))
        sample.ignored_instances = InstanceData(
            bboxes=RotatedBoxes(boxes[:0]), labels=torch.tensor(labels[:0])
        )
        found = np.concatenate([near, far[:3]]).astype(np.float32)
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor(found),
            scores=torch.tensor(rng.random(len(found)).astype(np.float32)),
            labels=torch.tensor(np.concatenate([labels, rng.integers(0, 3, 3)])),
        )
        yield sample.to_dict()


@pytest.fixture
def ann_file(tmp_path):
    """Annotations of the ten images, for the protocol; the boxes that count come with the samples."""
    data = dict(
        info=dict(split='test', label_modality='ir'),
        images=[dict(id=i, file_name=f'{i}.jpg', width=640, height=512) for i in range(10)],
        annotations=[dict(id=1, image_id=0, category_id=1, bbox=[1, 2, 30, 40])],
        categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)],
    )
    (tmp_path / 'a.json').write_text(json.dumps(data))
    return str(tmp_path / 'a.json')


def evaluate(ann_file, data, classes=CLASSES, **options):
    metric = OrientedAPMetric(ann_file, **options)
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, data)
    return metric.evaluate(len(data))


@pytest.mark.parametrize('mode', ['11points', 'area'])
def test_equal_to_mmrotate(ann_file, mode, monkeypatch):
    in_a_thread = 'mmrotate.evaluation.functional.mean_ap.get_context'  # a new process would import mmrotate
    monkeypatch.setattr(in_a_thread, lambda _: multiprocessing.dummy)
    data = list(samples())
    detections, truth = [], []
    for sample in data:
        found = sample['pred_instances']
        rows = np.column_stack([found['bboxes'].numpy(), found['scores'].numpy()])
        detections.append([rows[found['labels'].numpy() == k] for k in range(3)])
        boxes = sample['gt_instances']['bboxes'].tensor.float().numpy()
        truth.append(
            dict(bboxes=boxes, labels=sample['gt_instances']['labels'].numpy(),
                 bboxes_ignore=boxes[:0], labels_ignore=np.zeros(0, int))
        )  # fmt: skip
    ours = evaluate(ann_file, data, eval_mode=mode)
    mean, classes = eval_rbbox_map(
        detections, truth, iou_thr=0.5, use_07_metric=mode == '11points', logger='silent', nproc=1
    )
    assert ours['oriented/mAP_50'] == pytest.approx(mean, abs=1e-6)
    assert ours['oriented/car_AP_50'] == pytest.approx(classes[0]['ap'], abs=1e-6)
    assert ours['oriented/truck_AP_50'] == pytest.approx(classes[1]['ap'], abs=1e-6)
    assert np.isnan(ours['oriented/van_AP_50']) and 0.3 < mean < 0.99
    assert ours['oriented/mAP'] < ours['oriented/mAP_50']


def test_the_table_says_protocol_absent_class_and_conditions(ann_file, monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmslg.evaluation.metrics.oriented_metric.print_log', lambda text, _: lines.append(text)
    )
    figures = evaluate(ann_file, list(samples()))
    assert lines[0].startswith('protocol: VOC07 11-point AP, oriented boxes, IoU 0.50 (AP_50)')
    assert 'split test, 10 pairs; boxes drawn in: ir; classes in order: car, truck, van\n' in lines[0]
    assert 'no ground truth of van: left out of the mean' in lines[0] and '\nday: mAP_50 0.' in lines[0]
    assert 'images were run' not in lines[0]
    day = evaluate(ann_file, [s for s in samples() if s['time'] == 'day'])
    assert figures['oriented/mAP_50_day'] == pytest.approx(day['oriented/mAP_50'])
    assert 'split test, 10 pairs' in lines[1]
    assert 'only 5 of 10 images were run; the others do not count' in lines[1]


def test_what_is_wrong_is_said(ann_file):
    with pytest.raises(InputError, match="one of 11points, area, got 'voc'"):
        OrientedAPMetric(ann_file, eval_mode='voc')
    with pytest.raises(InputError, match='no category bus in the file; it has car, truck, van'):
        evaluate(ann_file, list(samples(1)), classes=('car', 'bus'))
    with pytest.raises(InputError, match=r'a\.json: no image of id 10; is it of the same split'):
        evaluate(ann_file, list(samples(11)))
    data = list(samples(1))
    data[0]['pred_instances']['scores'][0] = float('inf')
    with pytest.raises(InputError, match='0: a predicted box or score is not finite'):
        evaluate(ann_file, data)
