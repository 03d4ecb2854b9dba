"""The tool, and the detector that it makes, on drawn pairs with random weights."""

import csv
import json
import shutil

import pytest
import torch
from helpers import TINY, told, write_weights
from mmengine.registry import DefaultScope

from mmslg.apis.launch import parse_options, read_config
from mmslg.apis.pair_inferencer import Pair, PairInferencer
from mmslg.apis.profiling import build_detector
from mmslg.captions.schema import StructuredCaption
from mmslg.errors import InputError
from mmslg.streams.async_captions import Caption
from mmslg.streams.stream_detector import StreamDetector
from mmslg.utils.image_io import read_infrared, read_visible


@pytest.fixture(autouse=True)
def _scope():
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture
def made(pairs):
    """A config, weights and two folders of three frames."""
    cfg = read_config(str(pairs / 'leaf.py'), parse_options(TINY))
    write_weights(pairs / 'weights.pth', told(build_detector(cfg, seed=1)))
    for modality in ('visible', 'infrared'):
        (pairs / 'clip' / modality).mkdir(parents=True)
        for path in (pairs / modality).glob('test_*.png'):
            shutil.copy(path, pairs / 'clip' / modality)
    return pairs


def test_a_caption_that_is_held_gives_the_inferencer_s_boxes_to_the_bit(made):
    cfg = read_config(str(made / 'leaf.py'), parse_options(TINY))
    inferencer = PairInferencer(cfg, made / 'weights.pth', encoder='hashed')
    pair = Pair(
        read_visible(made / 'clip/visible/test_001.png'), read_infrared(made / 'clip/infrared/test_001.png')
    )
    text = StructuredCaption('daylight', 'street', 'cars', 'high thermal contrast')
    silent = inferencer.predict([pair])[0].pred_instances
    wanted = inferencer.predict([pair._replace(caption=text)])[0].pred_instances
    embedding = inferencer.embed(text).numpy()
    detector = StreamDetector(inferencer, takes_captions=True)
    detector.use_caption(Caption(text, embedding, 0.0))
    found = detector(pair._replace(caption=text.to_dict())).pred_instances
    assert torch.equal(found.bboxes, wanted.bboxes) and torch.equal(found.scores, wanted.scores)
    assert len(wanted) and not torch.equal(silent.scores, wanted.scores)
    del inferencer.model.neck[0]
    with pytest.raises(InputError, match='--captioner: this model has no LanguageGuidedModulation'):
        StreamDetector(inferencer, takes_captions=True)


def test_the_tool_writes_its_outputs_and_reports(made, run_quickly, tmp_path):
    clip = made / 'clip'
    (clip / 'infrared' / 'test_003.png').unlink()
    options = ['--rgb', clip / 'visible', '--ir', clip / 'infrared', '--fps', 5, '--track']
    options += ['--score-thr', 0.001]
    files = [tmp_path / name for name in ('out.mp4', 'out.jsonl', 'out.csv')]
    for flag, path in zip(('--video', '--jsonl', '--csv'), files):
        options += [flag, path]
    captions = ['--captioner', 'photometric', '--encoder', 'hashed', '--caption-every', '1']
    done = run_quickly(
        'infer_stream.py', made / 'leaf.py', made / 'weights.pth', *options, *captions, '--cfg-options', *TINY
    )
    assert done.returncode == 0, done.stderr
    assert 'captions: by photometric every 1 pairs; until the first is done' in done.stdout
    assert 'infrared ended first: visible has 1 more frame, which have no partner' in done.stdout
    assert '2 pairs in' in done.stdout and 'dropped: 0 visible, 0 infrared' in done.stdout
    records = [json.loads(line) for line in (tmp_path / 'out.jsonl').read_text().splitlines()]
    assert [(r['visible'], r['infrared'], r['time']) for r in records] == [(1, 1, 0.2), (2, 2, 0.4)]
    assert records[1]['detections']
    with (tmp_path / 'out.csv').open(newline='') as file:
        assert len(list(csv.reader(file))) == 1 + sum(len(r['detections']) for r in records)
    assert (tmp_path / 'out.mp4').stat().st_size > 1000


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--captioner', 'photometric'], '--captioner wants --encoder as well'),
        (['--encoder', 'hashed'], 'say nothing without --captioner'),
        (['--video', 'a.gif'], 'a.gif: wanted the name of a video'),
        (['--csv', 'a.txt', '--jsonl', 'a.txt'], 'two outputs have the same name'),
        (['--jsonl', 'leaf.py'], 'leaf.py: the output is the input'),
        (['--max-pairs', '0'], '--max-pairs 0: wanted at least 1'),
        (['--fps', '1', '2', '3'], 'wanted one or two rates, got 3'),
        (['--rgb', 'gone.mp4'], 'gone.mp4: no such file or folder'),
    ],
)
def test_what_is_refused_before_anything_is_loaded(made, run_quickly, monkeypatch, options, message):
    monkeypatch.chdir(made)
    sources = ['--rgb', 'clip/visible', '--ir', 'clip/infrared']
    done = run_quickly('infer_stream.py', 'leaf.py', 'weights.pth', *sources, *options)
    assert done.returncode == 1 and message in done.stderr and done.stderr.startswith('error: ')
    assert done.stderr.count('\n') == 1
