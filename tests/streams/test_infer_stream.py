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
from mmslg.models.compilation import compile_features
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


def test_compiled_a_new_caption_is_seen_and_compiles_nothing_anew(made):
    torch._dynamo.reset()
    cfg = read_config(str(made / 'leaf.py'), parse_options(TINY))
    inferencer = PairInferencer(cfg, made / 'weights.pth', encoder='hashed')
    detector = StreamDetector(inferencer, takes_captions=True)
    pair = Pair(
        read_visible(made / 'clip/visible/test_001.png'), read_infrared(made / 'clip/infrared/test_001.png')
    )
    captions = [None]
    for number in range(10):  # more than torch compiles a function for
        text = StructuredCaption('daylight', 'street', f'{number} cars', 'high thermal contrast')
        captions.append(Caption(text, inferencer.embed(text).numpy(), 0.0))

    def scores():
        found = []
        for caption in captions:
            if caption is not None:
                detector.use_caption(caption)
            found.append(detector(pair).pred_instances.scores)
        inferencer.model.neck[0].hold(None)
        return found, torch._dynamo.utils.counters['stats']['unique_graphs']

    wanted, _ = scores()
    compile_features(inferencer.model, 'eager')
    found, graphs = scores()
    for compiled, eager in zip(found, wanted, strict=True):
        torch.testing.assert_close(compiled, eager, atol=1e-6, rtol=0)
    assert not torch.allclose(wanted[1], wanted[2], atol=1e-4)
    assert scores()[1] == graphs < len(captions)
    torch._dynamo.reset()


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


def test_a_stream_without_a_pair_leaves_nothing(made, run_quickly, tmp_path):
    for path in (made / 'clip/visible').iterdir():
        path.write_bytes(b'no image')
    options = [
        '--rgb',
        made / 'clip/visible',
        '--ir',
        made / 'clip/infrared',
        '--jsonl',
        tmp_path / 'o.jsonl',
    ]
    done = run_quickly(
        'infer_stream.py', made / 'leaf.py', made / 'weights.pth', *options, '--cfg-options', *TINY
    )
    assert done.returncode == 1 and not (tmp_path / 'o.jsonl').exists()
    assert 'no pair came: ' in done.stderr and 'files that cannot be read: 3' in done.stderr


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--captioner', 'photometric'], '--captioner wants --encoder as well'),
        (['--encoder', 'hashed'], 'say nothing without --captioner'),
        (['--video', 'a.gif'], 'a.gif: wanted the name of a video'),
        (['--csv', 'a.txt', '--jsonl', 'a.txt'], 'two outputs have the same name'),
        (['--jsonl', 'leaf.py'], 'leaf.py: the output is the input'),
        (['--jsonl', 'clip/visible/test_001.png'], 'test_001.png: the output is the input'),
        (['--import', 'my_captioner'], 'say nothing without --captioner'),
        (['--captioner', 'nobody', '--encoder', 'hashed'], "no captioner is called 'nobody'"),
        (['--captioner', 'photometric', '--encoder', 'nobody'], "no text encoder is called 'nobody'"),
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
