import json

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmengine.structures import InstanceData

from mmslg.errors import InputError
from mmslg.evaluation.metrics import PairedCocoMetric

CLASSES = ('person', 'car')


@pytest.fixture
def ann_file(tmp_path):
    rng = np.random.default_rng(0)
    images = [
        dict(id=i, file_name=f'{i}.jpg', width=320, height=256, time=('day', 'night')[i % 2])
        for i in range(1, 9)
    ]
    annotations = [
        dict(id=i, image_id=1 + i % 8, category_id=3 + i % 2, area=600, iscrowd=0,
             bbox=[*rng.integers(0, 200, 2).tolist(), 20, 30])
        for i in range(1, 41)
    ]  # fmt: skip
    data = dict(
        info=dict(split='test', label_modality='ir'),
        images=images,
        annotations=annotations,
        categories=[dict(id=3, name='person'), dict(id=4, name='car')],
    )
    (tmp_path / 'a.json').write_text(json.dumps(data))
    return tmp_path / 'a.json'


def samples(ann_file):
    """Predictions that hit some boxes of each image."""
    data = json.loads(ann_file.read_text())
    rng = np.random.default_rng(1)
    for image in data['images']:
        mine = [a for a in data['annotations'] if a['image_id'] == image['id']]
        boxes = torch.tensor([a['bbox'] for a in mine]).float() + torch.tensor(
            rng.normal(0, 2, (len(mine), 4))
        )
        boxes[:, 2:] += boxes[:, :2]
        found = InstanceData(
            bboxes=boxes.float(),
            scores=torch.tensor(rng.random(len(mine))).float(),
            labels=torch.tensor([a['category_id'] - 3 for a in mine]),
        )
        yield dict(img_id=image['id'], ori_shape=(256, 320), pred_instances=found)


def evaluate(metric, data, classes=CLASSES):
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, data)
    return metric.evaluate(len(data))


def test_the_figures_and_names_of_mmdet(ann_file):
    data = list(samples(ann_file))
    ours = evaluate(PairedCocoMetric(str(ann_file)), data)
    theirs = evaluate(CocoMetric(str(ann_file), classwise=True), data)
    shared = set(theirs) & set(ours)
    assert {'coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/bbox_mAP_s', 'coco/person_precision'} <= shared
    for name in shared:  # theirs are rounded to three digits, and -1 where nothing counts
        if theirs[name] >= 0:
            assert ours[name] == pytest.approx(theirs[name], abs=5.1e-4), name
    assert 0.05 < ours['coco/bbox_mAP'] < 0.95
    conditions = [f'coco/bbox_{name}_{time}' for time in ('day', 'night') for name in ('mAP', 'mAP_50')]
    assert [*ours][-4:] == conditions  # in this order every time


def test_protocol_missing_images_and_files(ann_file, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr('mmslg.evaluation.metrics.coco_metric.print_log', lambda text, _: lines.append(text))
    data = list(samples(ann_file))[:5]
    evaluate(PairedCocoMetric(str(ann_file), outfile_prefix=str(tmp_path / 'out')), data)
    assert lines[0].startswith('protocol: COCO mAP, IoU 0.50:0.95, ')
    assert 'split test, 8 pairs; boxes drawn in: ir; classes in order: person, car\n' in lines[0]
    assert 'only 5 of 8 images were run' in lines[0]
    rows = json.loads((tmp_path / 'out.bbox.json').read_text())
    assert len(rows) == 25 and {row['category_id'] for row in rows} == {3, 4}
    x1, y1, x2, y2 = data[0]['pred_instances'].bboxes[0].tolist()
    assert rows[0]['bbox'] == pytest.approx([x1, y1, x2 - x1, y2 - y1])


def test_what_is_wrong_is_said(ann_file):
    data = list(samples(ann_file))
    with pytest.raises(InputError, match=r'a\.json: no category bus in the file; it has person, car'):
        evaluate(PairedCocoMetric(str(ann_file)), data, ('person', 'bus'))
    with pytest.raises(InputError, match='stand in the order person, car, the config says car, person'):
        evaluate(PairedCocoMetric(str(ann_file)), data, ('car', 'person'))
    with pytest.raises(InputError, match='no image of id 99; is it of the same split'):
        evaluate(PairedCocoMetric(str(ann_file)), [data[0] | dict(img_id=99)])
    more = InstanceData(bboxes=torch.zeros(1, 4), scores=torch.ones(1), labels=torch.tensor([2]))
    with pytest.raises(InputError, match='label 2, and there are 2 classes, person, car; set num_classes=2'):
        evaluate(PairedCocoMetric(str(ann_file)), [data[0] | dict(pred_instances=more)])
    data[2]['pred_instances'].bboxes[0, 0] = float('nan')
    with pytest.raises(InputError, match='not finite; did the training diverge'):
        evaluate(PairedCocoMetric(str(ann_file)), data)
