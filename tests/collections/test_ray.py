"""Pairs over workers of Ray: one is killed, one pair is broken, and each is there once."""

import json
import os
import signal
from types import SimpleNamespace

import psutil
import pytest
import torch
from helpers import ROOT, TINY, write_leaf

pytest.importorskip('ray', reason='large collections want ray, see requirements/ray.txt')
pa = pytest.importorskip('pyarrow', reason='large collections want pyarrow')

from mmengine.config import Config, DictAction  # noqa: E402

from mmslg.apis.profiling import build_detector  # noqa: E402
from mmslg.collections import command, ray_detection  # noqa: E402
from mmslg.errors import InputError  # noqa: E402


@pytest.fixture
def made(pairs, monkeypatch):
    """Arguments of the tool for a tiny model of random weights and a list of twelve pairs, one broken."""
    cfg = Config.fromfile(write_leaf(pairs))
    cfg.merge_from_dict({k: DictAction._parse_iterable(v) for k, v in (o.split('=', 1) for o in TINY)})
    config = str(pairs / 'tiny.py')
    cfg.dump(config)
    meta = dict(dataset_meta=dict(classes=('person', 'car', 'bicycle')))
    torch.save(dict(state_dict=build_detector(cfg, seed=1).state_dict(), meta=meta), pairs / 'weights.pth')
    rows = [
        dict(
            id=str(i),
            visible=f'visible/train_00{1 + i % 4}.png',
            infrared=f'infrared/train_00{1 + i % 4}.png',
        )
        for i in range(12)
    ]
    rows[5]['infrared'] = 'leaf.py'
    (pairs / 'list.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    return SimpleNamespace(
        config=config,
        checkpoint=str(pairs / 'weights.pth'),
        pairs=str(pairs / 'list.jsonl'),
        out=str(pairs / 'out'),
        captions=str(pairs / 'captions.safetensors'),
        captioner='photometric',
        encoder=None,
        address=None,
        workers=2,
        gpus_per_worker=None,
        batch_size=1,
        score_thr=0.0,
        rows_per_shard=2,
    )


def workers_of_ray():
    found = []
    for process in psutil.Process().children(recursive=True):
        if 'PairWorker' in ' '.join(process.cmdline()):
            found.append(process.pid)
    return found


@pytest.mark.slow
def test_each_pair_is_there_once_although_a_worker_is_killed(made, monkeypatch, capsys):
    killed = []

    class Shards(command.DetectionShards):
        def add(self, table):
            super().add(table)
            if not killed:
                killed.append(workers_of_ray()[0])
                os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(command, 'DetectionShards', Shards)
    assert command.detect_collection(made) == 1
    assert killed
    assert 'out: 12 pairs, 12 of them new' in capsys.readouterr().out
    shards = sorted((ROOT / made.out).glob('part-*.parquet'))
    rows = [row for path in shards for row in pa.parquet.read_table(path).to_pylist()]
    assert sorted(row['id'] for row in rows) == sorted(map(str, range(12)))
    for row in rows:
        if row['id'] == '5':
            assert 'leaf.py' in row['error'] and row['boxes'] == []
        else:
            assert row['error'] is None and len(row['boxes']) == len(row['scores']) == len(row['labels']) > 0
            assert set(row['class_names']) <= {'person', 'car', 'bicycle'}
    assert not [p for p in psutil.Process().children(recursive=True) if 'ray' in ' '.join(p.cmdline())]

    monkeypatch.setattr(ray_detection.ray, 'init', lambda *_, **__: pytest.fail('nothing was left to detect'))
    assert command.detect_collection(made) == 1
    assert 'holds 12 pairs, 0 of them not in' in capsys.readouterr().out
    made.score_thr = 0.5
    with pytest.raises(InputError, match=r'--score-thr was 0\.0 and is 0\.5; choose another --out'):
        command.detect_collection(made)
