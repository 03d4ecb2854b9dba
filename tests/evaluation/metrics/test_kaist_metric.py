"""The metric in a runner's hands; its files and the tool give its figures."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from forked import run_forked
from helpers import LEAN, ROOT
from mmengine.structures import InstanceData

from mmslg.errors import InputError
from mmslg.evaluation.metrics import KAISTMissRateMetric

NAMES = [f'set{s:02d}/V000/I{20 * i + 19:05d}' for s in (6, 9) for i in range(6)]


@pytest.fixture
def truth_file(tmp_path):
    """Two persons and a crowd in each of twelve images, half of them by night."""
    images, boxes = [], []
    for i, name in enumerate(NAMES, 1):
        file_name = f'{name[:10]}/visible/{name[11:]}.jpg'
        images.append(dict(id=i, file_name=file_name, width=640, height=512))
        for x, h, occlusion, category in ((100, 60, 0, 1), (200, 40, 1, 1), (300, 90, 0, 2)):
            box = [x + i, 100, 30, h]
            boxes.append(
                dict(
                    id=len(boxes) + 1,
                    image_id=i,
                    category_id=category,
                    bbox=box,
                    occlusion=occlusion,
                    ignore=0,
                )
            )
    categories = [dict(id=1, name='person'), dict(id=2, name='people')]
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(dict(images=images, annotations=boxes, categories=categories)))
    return path


def samples(seed=0):
    """Predictions as a detector makes them: class 0 a cyclist, class 1 a person."""
    rng = np.random.default_rng(seed)
    for i, name in enumerate(NAMES, 1):
        boxes = np.array([[100 + i, 100, 130 + i, 160], [200 + i, 100, 230 + i, 140], [300, 100, 330, 190]])
        boxes = np.concatenate([boxes + rng.uniform(-6, 6, (3, 4)), rng.uniform(0, 500, (3, 4))])
        predicted = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32),
            scores=torch.tensor(rng.random(6), dtype=torch.float32),
            labels=torch.tensor([1, 1, 1, 1, 1, 0]),
        )
        file_name = f'{name[:10]}/visible/{name[11:]}.jpg'
        yield dict(pred_instances=predicted, img_id=i, file_name=file_name, img_path=f'/data/{file_name}')


def make(truth_file, classes=('cyclist', 'person'), **kwargs):
    metric = KAISTMissRateMetric(str(truth_file), **kwargs)
    metric.dataset_meta = dict(classes=classes)
    return metric


def evaluate(metric, data):
    for sample in data:
        metric.process({}, [sample])
    return metric.evaluate(len(metric.results))


def test_is_found_by_name_in_a_config(truth_file):
    code = (
        'from mmengine.evaluator import Evaluator\n'
        'from mmengine.registry import DefaultScope\n'
        'DefaultScope.get_instance("test", scope_name="mmdet")\n'
        f'config = dict(type="mmslg.KAISTMissRateMetric", ann_file={str(truth_file)!r})\n'
        'print(type(Evaluator(config).metrics[0]).__name__)\n'
    )
    env = {**os.environ, 'PYTHONPATH': f'{ROOT}:{LEAN}'}
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.stdout.endswith('KAISTMissRateMetric\n'), done.stderr


def test_figures_by_hand(truth_file):
    def sure(sample):
        box = sample['pred_instances'].bboxes[:1].clone()
        x = 100.0 + sample['img_id']
        box[0] = torch.tensor([x, 100, x + 30, 160])
        return sample | dict(
            pred_instances=InstanceData(bboxes=box, scores=torch.ones(1), labels=torch.ones(1, dtype=int))
        )

    figures = evaluate(make(truth_file), map(sure, samples()))
    assert list(figures) == [f'kaist/{s}_{t}' for s in ('reasonable', 'all') for t in ('all', 'day', 'night')]
    # Of the two persons in an image the one of 60 px counts in `reasonable`, both count in `all`.
    assert figures['kaist/reasonable_all'] == pytest.approx(1e-8)
    assert figures['kaist/all_night'] == pytest.approx(50)


@pytest.mark.parametrize('protocol', ['matlab', 'sejong'])
def test_written_files_give_the_same_figures_in_the_tool(truth_file, tmp_path, protocol, run_quickly):
    prefix = tmp_path / 'out' / 'mine'
    settings = ('reasonable', 'all', 'partial')
    metric = make(truth_file, protocol=protocol, settings=settings, outfile_prefix=str(prefix))
    figures = evaluate(metric, samples())
    assert 1 < figures['kaist/all_all'] < 99
    done = run_quickly(
        *('tools/analysis/eval_kaist.py', '--gt', truth_file, '--dets', f'{prefix}-test-all.txt'),
        *('--protocol', protocol, '--setting', *settings, '--json', tmp_path / 'figures.json'),
    )
    assert done.returncode == 0, done.stderr
    read = json.loads((tmp_path / 'figures.json').read_text())['mine-test-all']
    assert {f'kaist/{s}_{t}': v for s, row in read.items() for t, v in row.items()} == figures
    night = np.loadtxt(f'{prefix}-test-night.txt', delimiter=',')
    everything = np.loadtxt(f'{prefix}-test-all.txt', delimiter=',')
    later = everything[everything[:, 0] > 6]
    assert np.array_equal(night[:, 0] + 6, later[:, 0]) and np.array_equal(night[:, 1:], later[:, 1:])
    assert set(np.loadtxt(f'{prefix}-test-day.txt', delimiter=',')[:, 0]) == set(range(1, 7))
    assert len(everything) == 12 * 5  # the cyclists are left out


def test_image_is_found_by_its_name_before_its_id(truth_file):
    data = list(samples())
    expected = evaluate(make(truth_file), data)
    assert evaluate(make(truth_file), [sample | dict(img_id=1) for sample in data]) == expected
    by_id = [{key: sample[key] for key in ('pred_instances', 'img_id')} for sample in data]
    assert evaluate(make(truth_file), by_id) == expected
    with pytest.raises(InputError, match=r'truth\.json: the ground truth has no image set07/V000/I00019'):
        make(truth_file).process({}, [data[0] | dict(file_name='set07/V000/I00019.jpg', img_path='x')])


def test_what_is_wrong_is_said(truth_file):
    data = list(samples())
    with pytest.raises(InputError, match='counts the class person; the dataset has car, bus'):
        make(truth_file, classes=('car', 'bus')).process({}, data)
    with pytest.raises(InputError, match="no protocol 'coco'"):
        make(truth_file, protocol='coco')
    with pytest.raises(InputError, match="no setting 'Reasonable'"):
        make(truth_file, settings='Reasonable')
    data[3]['pred_instances'].scores[2] = float('nan')
    with pytest.raises(InputError, match=r'I00079.*: a predicted box or score is not finite'):
        evaluate(make(truth_file), data)


def test_the_log_names_protocol_and_missing_images(truth_file, monkeypatch):
    lines = []
    monkeypatch.setattr('mmslg.evaluation.metrics.kaist_metric.print_log', lambda text, _: lines.append(text))
    evaluate(make(truth_file, protocol='sejong'), list(samples())[:9])
    assert 'only 9 of 12 images were run' in lines[0]
    assert 'predictions  sejong    reasonable' in lines[0]
    assert 'split truth, 12 pairs; boxes drawn in: unknown; classes in order: person\n' in lines[0]
    data = json.loads(truth_file.read_text()) | dict(info=dict(split='test', label_modality='visible'))
    truth_file.write_text(json.dumps(data))
    evaluate(make(truth_file), list(samples()))
    assert 'split test, 12 pairs; boxes drawn in: visible; classes in order: person\n' in lines[1]


def test_the_published_form_is_read_too(truth_file, monkeypatch):
    expected = evaluate(make(truth_file), list(samples()))
    data = json.loads(truth_file.read_text())
    data['images'] = [dict(id=i['id'], im_name=n) for i, n in zip(data['images'], NAMES)]
    truth_file.write_text(json.dumps(data))
    assert evaluate(make(truth_file), list(samples())) == expected


def test_two_processes_gather(truth_file, tmp_path):
    def job(rank):
        torch.distributed.init_process_group('gloo')
        metric = make(truth_file)
        data = list(samples())
        for sample in [*data, data[0]][rank::2]:  # 13 samples, the last one padded by the sampler
            metric.process({}, [sample])
        if rank == 1:
            metric.process({}, [data[1]])
        print(sorted(metric.evaluate(12).items()))

    results = run_forked(job, tmp_path / 'said')
    assert [code for code, _ in results] == [0, 0], results
    expected = str(sorted(evaluate(make(truth_file), samples()).items()))
    assert [out.strip().splitlines()[-1] for _, out in results] == [expected, expected]
