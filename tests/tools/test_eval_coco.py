"""tools/analysis/eval_coco.py: the published annotations, and files that do not belong to them."""

import json

import pytest
from evaluation.functional.test_coco_ap import drawn, reference
from helpers import run_analysis, run_here


@pytest.fixture
def files(tmp_path):
    data, detections = drawn()
    (tmp_path / 'gt.json').write_text(json.dumps(data))
    (tmp_path / 'ours.json').write_text(json.dumps(detections))
    return tmp_path, data, detections


def test_table_and_json(files):
    folder, data, detections = files
    (folder / 'none.json').write_text('[]')
    dets = [folder / 'ours.json', folder / 'none.json']
    done = run_analysis(
        'eval_coco.py', '--gt', folder / 'gt.json', '--dets', *dets, '--json', folder / 'o.json'
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('protocol: COCO mAP, IoU 0.50:0.95')
    figures = json.loads((folder / 'o.json').read_text())
    assert figures['ours']['all']['mAP'] == pytest.approx(reference(data, detections)[0][0], abs=1e-6)
    assert set(figures['ours']) == {'all', 'day', 'night'} and figures['none']['all']['mAP_50'] == 0


@pytest.mark.slow
def test_a_file_of_1013_images_equals_pycocotools(shared, tmp_path):
    source = shared / 'flir_aligned_ann/damsdet_val_3class_1based.json'
    data = json.loads(source.read_text())
    detections = [
        dict(image_id=a['image_id'], category_id=1 + (a['category_id'] + (a['id'] % 7 == 0)) % 3,
             bbox=[a['bbox'][0] + a['id'] % 5, *a['bbox'][1:]], score=(a['id'] * 37 % 101) / 101)
        for a in data['annotations']
    ]  # fmt: skip
    (tmp_path / 'd.json').write_text(json.dumps(detections))
    done = run_analysis(
        'eval_coco.py', '--gt', source, '--dets', tmp_path / 'd.json', '--json', tmp_path / 'o.json'
    )
    assert done.returncode == 0, done.stderr
    assert '1013 pairs' in done.stdout
    row = json.loads((tmp_path / 'o.json').read_text())['d']['all']
    stats = reference(data, detections)[0]
    assert [row[k] for k in ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')] == pytest.approx(
        stats.tolist(), abs=1e-6
    )


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(image_id=999), 'detection 1 is of image 999, which the annotations do not list'),
        (dict(category_id=0), 'detection 1 is of category 0; the annotations have 1, 2, 3'),
        (dict(score=float('nan')), 'detection 1 has no box of four finite numbers'),
        (dict(bbox=[1, 2, 3]), 'detection 1 has no box of four finite numbers'),
    ],
)
def test_detections_of_something_else(files, change, message, monkeypatch, capsys):
    folder, _, detections = files
    detections[0] |= change
    (folder / 'ours.json').write_text(json.dumps(detections))
    out = folder / 'o.json'
    arguments = ('--gt', folder / 'gt.json', '--dets', folder / 'ours.json', '--json', out)
    assert run_here('eval_coco.py', monkeypatch, *arguments) == 1
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1 and not out.exists()


def test_unknown_class(files, monkeypatch, capsys):
    folder = files[0]
    arguments = ('--gt', folder / 'gt.json', '--dets', folder / 'ours.json', '--classes', 'dog')
    assert run_here('eval_coco.py', monkeypatch, *arguments) == 1
    assert '--classes dog: the annotations have person, car, bicycle' in capsys.readouterr().err
