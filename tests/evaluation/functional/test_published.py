"""The published ground truth and detections."""

import json

import numpy as np
import pytest
from evaluation.kaist_samples import same

from mmslg.evaluation.functional import (
    SETTINGS,
    compute_miss_rates,
    read_bbgt,
    read_detections,
    read_ground_truth,
)


@pytest.fixture(scope='module')
def published(shared):
    sources = (shared / 'kaist_mr/KAIST_annotation.json', shared / 'kaist_improved_txt')
    return [read_ground_truth(source) for source in sources]


def test_published_ground_truth(published, shared):
    same(*published)
    truth = published[0]
    assert len(truth.names) == 2252 and (truth.times[:1455] == 'day').all()
    assert (truth.times[1455:] == 'night').all()
    labels = [
        thing.label
        for file in (shared / 'kaist_improved_txt/annotations').glob('*.txt')
        for thing in read_bbgt(file)
    ]
    assert {name: labels.count(name) for name in set(labels)} == {
        'person': 3390,
        'people': 597,
        'person?': 177,
        'cyclist': 90,
    }
    assert np.bincount(truth.occlusion[~truth.ignore]).tolist() == [2677, 480, 233]
    assert [truth.first.tolist().index(True) for truth in published] == [0, 0]


def test_published_figures_are_reproduced(published, shared):
    expected = json.loads((shared / 'kaist_mr/expected_mr.json').read_text())
    compared = 0
    for truth in published:
        for method, figures in expected['methods'].items():
            found = read_detections(shared / f'kaist_mr/dets/{method}_result.txt', truth)
            for protocol in ('matlab', 'sejong'):
                curves = compute_miss_rates(truth, found, SETTINGS, protocol)
                for setting, counts in expected['gt_counts'].items():
                    if protocol == 'matlab':
                        assert {k: c.num_persons for k, c in curves[setting].items()} == counts
                for name, values in figures.items():
                    if name.startswith(protocol):
                        row = curves[name.split('_')[1]].values()
                        for curve, value in zip(row, values if isinstance(values, list) else [values]):
                            assert curve.miss_rate == pytest.approx(value, abs=0.0051), (method, name)
                            compared += 1
    assert compared == 2 * 4 * (6 + 6 + 6)
