"""A detector as a file finds what the checkpoint finds."""

import functools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import ROOT, TINY, make_pairs, run_here, shipped_config, write_leaf, write_weights
from mmdet.models.detectors import DDQDETR
from mmdet.structures import DetDataSample
from mmengine.registry import DefaultScope

from mmslg.apis import pair_inferencer
from mmslg.apis.launch import parse_options, read_config
from mmslg.apis.pair_inferencer import Pair, PairInferencer
from mmslg.apis.profiling import build_detector
from mmslg.apis.timing import interleave
from mmslg.deployment import stream_timing
from mmslg.deployment.dense import DenseGraph
from mmslg.deployment.dino import DinoGraph
from mmslg.deployment.export import _compare_features, build_graph, export_detector, write
from mmslg.deployment.graphs import FeatureGraph
from mmslg.deployment.parity import compare
from mmslg.deployment.running import deployed_detections, eager_detections, load_runner, to_arrays
from mmslg.deployment.suppression import keep_best, keep_best_torch, spread_by_label
from mmslg.errors import InputError
from mmslg.models.compilation import compile_features

pytest.importorskip('onnxruntime')
pytestmark = pytest.mark.slow
RUNNER = ROOT / 'tools' / 'deploy' / 'run_onnx.py'
OPTIONS = [
    *TINY,
    'model.test_cfg.score_thr=0.005',
    'test_dataloader.dataset.pipeline.resize.scale=(80,60)',
    # As few nodes as there can be: they are what the exporter takes its time for.
    'model.backbone.interaction_indexes=[1]',
    'model.neck.1.out_strides=16,32',
    'model.bbox_head.anchor_generator.strides=16,32',
    'model.bbox_head.stacked_convs=1',
]
RTMDET = [
    'model.backbone.trunk.checkpoint=None',
    'model.backbone.trunk.dtype=float32',
    'model.backbone.interaction_indexes=[0]',
    'model.backbone.trunk.depth=1',
]


@pytest.fixture(autouse=True)
def _scope():
    yield
    DefaultScope._instance_dict.clear()


def shake(model, seed=1):
    """Weights that make scores and boxes differ from place to place."""
    generator = torch.Generator().manual_seed(seed)
    for name, param in model.named_parameters():
        param.data += 0.05 * torch.randn(param.shape, generator=generator)
        if re.search(r'(atss_cls|retina_cls|conv_cls|rtm_cls\.\d)\.bias$', name):
            param.data.fill_(-1.0)
    return model


def loaded(leaf, options):
    """Write the weights of a leaf's detector beside it; return their file and an inferencer."""
    config = read_config(str(leaf), parse_options(options))
    checkpoint = write_weights(leaf.with_suffix('.pth'), shake(build_detector(config)))
    return checkpoint, PairInferencer(
        read_config(str(leaf), parse_options(options)), checkpoint, device='cpu'
    )


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """Pairs, a checkpoint, an inferencer, and the ONNX file; 96x64 pixels become 80x53."""
    folder = make_pairs(tmp_path_factory.mktemp('deploy') / 'pairs')
    checkpoint, inferencer = loaded(folder / 'leaf.py', OPTIONS)
    out = folder / 'model.onnx'
    lines = export_detector(inferencer, str(checkpoint), str(out), batch_size=None)
    return folder, inferencer, out, lines


def files_of(folder):
    return [
        (str(folder / 'visible' / f'test_{i:03d}.png'), str(folder / 'infrared' / f'test_{i:03d}.png'))
        for i in (1, 2, 3)
    ]


def test_the_file_was_compared_and_names_what_it_is(exported):
    import onnxruntime

    _, _inferencer, out, lines = exported
    assert '80x53 pixels' in lines[0] and '(100.00%)' in lines[1] and ' of 3 pairs agree' in lines[1]
    found, total = (int(word) for word in lines[1].split(' detections')[0].split(' of '))
    assert found == total > 0
    session = onnxruntime.InferenceSession(str(out))
    assert [entry.name for entry in session.get_inputs()] == ['visible', 'infrared', 'text']
    assert [entry.name for entry in session.get_outputs()] == ['boxes', 'scores', 'labels']
    facts = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    assert facts['classes'] == ['person', 'car', 'bicycle']
    assert facts['input_size'] == [80, 53] and facts['scale'] == [80, 60] and facts['keep_ratio']
    assert facts['mean'] == [123.675, 116.28, 103.53, 127.0] and facts['batch'] == 'dynamic'
    assert {'std', 'protocols', 'checkpoint', 'infrared_window', 'precision'} <= set(facts)


@pytest.mark.parametrize('batch_size', [1, 2, 3])
def test_every_batch_gives_what_the_detector_gives(exported, batch_size):
    folder, inferencer, out, _ = exported
    packed = [inferencer.pack(Pair(*files, caption=None)) for files in files_of(folder)]
    found = deployed_detections(load_runner(out), packed, True, batch_size)
    for mine, theirs in zip(found, eager_detections(inferencer.model, packed)):
        assert len(mine[1]) == len(theirs[1]) > 5
        np.testing.assert_allclose(mine[1], theirs[1], atol=1e-4)
        np.testing.assert_allclose(np.sort(mine[0], 0), np.sort(theirs[0], 0), atol=1e-2)


def test_features_of_fewer_pairs_than_a_batch_are_compared(exported):
    folder, inferencer, _, _ = exported
    packed = [inferencer.pack(Pair(*files, caption=None)) for files in files_of(folder)]
    graph = build_graph(inferencer.model, (80, 53), 'features')
    assert type(graph) is FeatureGraph

    def run(*arrays, more=0.0):
        with torch.no_grad():
            return [level.numpy() + more for level in graph(*map(torch.from_numpy, arrays))]

    said = _compare_features(graph, run, packed, 4, False)
    assert said == f'features of {len(packed)} pairs differ by at most 0 of the largest'
    with pytest.raises(InputError, match='the file gives other features'):
        _compare_features(graph, functools.partial(run, more=0.1), packed, 4, False)


def test_the_runner_needs_nothing_of_torch_and_finds_the_same(exported, tmp_path):
    folder, inferencer, out, _ = exported
    shutil.copy(RUNNER, tmp_path / 'run_onnx.py')
    guard = """
import builtins, runpy, sys
real = builtins.__import__
def guarded(name, *args, **kwargs):
    if name.split('.')[0] in ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmslg', 'simplejpeg'):
        raise ImportError('not here: ' + name)
    return real(name, *args, **kwargs)
builtins.__import__ = guarded
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""
    files = files_of(folder)
    deep = tmp_path / 'deep.png'  # 16 bits
    image = cv2.imread(files[0][1], cv2.IMREAD_GRAYSCALE).astype(np.uint16) * 37 + 1000
    cv2.imwrite(str(deep), image)
    files.append((files[0][0], str(deep)))
    args = ['--rgb', *(f[0] for f in files), '--ir', *(f[1] for f in files), '--score-thr', '0.3']
    done = subprocess.run(
        [sys.executable, '-c', guard, tmp_path / 'run_onnx.py', out, *args, '--out', tmp_path / 'pictures'],
        cwd=tmp_path, env={'PATH': '', 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 'neutral' in done.stderr
    rows = [json.loads(line)['detections'] for line in done.stdout.splitlines()]
    model = inferencer.model
    seen = 0
    for row, pair in zip(rows, files, strict=True):
        ((boxes, scores, labels),) = eager_detections(model, [pack(inferencer, pair)])
        kept = scores >= 0.3
        seen += kept.sum()
        assert [inferencer.classes[label] for label in labels[kept]] == [found['class'] for found in row]
        np.testing.assert_allclose([found['score'] for found in row], scores[kept], atol=2e-4)
        np.testing.assert_allclose([found['box'] for found in row], boxes[kept], atol=0.02)
    assert seen > 5
    assert len(list((tmp_path / 'pictures').glob('*.png'))) == 3


def pack(inferencer, files):
    """A pair without a caption, packed."""
    packed = inferencer.pack(Pair(*files, name='x', caption=None))
    packed['inputs']['text'] = torch.zeros(4, 512)
    return packed


def test_what_the_runner_refuses(exported, tmp_path, monkeypatch, capsys):
    folder, _, out, _ = exported
    rgb, _ir = files_of(folder)[0]
    other = str(tmp_path / 'other.png')
    cv2.imwrite(other, np.zeros((64, 64, 3), np.uint8))

    def refused(message, *args):
        code = run_here('deploy/run_onnx.py', monkeypatch, *args)
        assert message in str(code) and '\n' not in str(code)

    refused('becomes 60x60; this model is for pairs that become 80x53', out, '--rgb', other, '--ir', other)
    refused('register and resize', out, '--rgb', rgb, '--ir', other)
    refused('no such file', out, '--rgb', rgb, '--ir', str(tmp_path / 'none.png'))
    refused('cannot be decoded', out, '--rgb', rgb, '--ir', str(folder / 'leaf.py'))


def test_16_bit_infrared_as_in_training(tmp_path):
    import runpy

    from mmslg.utils.image_io import read_infrared, read_visible, to_8bit

    runner = runpy.run_path(str(RUNNER))
    rng = np.random.default_rng(0)
    raw = rng.integers(20000, 30000, (48, 64), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / 'ir.png'), raw)
    cv2.imwrite(str(tmp_path / 'rgb.jpg'), rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    for window in (None, [21000, 28000]):
        pair = runner['read_pair'](tmp_path / 'rgb.jpg', tmp_path / 'ir.png', window)
        assert np.array_equal(pair[..., 3], to_8bit(read_infrared(tmp_path / 'ir.png'), window))
        assert np.array_equal(pair[..., :3], read_visible(tmp_path / 'rgb.jpg'))


def test_a_file_that_finds_something_else_is_not_written(exported, tmp_path, monkeypatch):
    folder, inferencer, out, _ = exported
    monkeypatch.setattr('mmslg.deployment.export.write', lambda path, *_: shutil.copy(out, path))
    other = PairInferencer(inferencer.cfg, folder / 'leaf.pth', device='cpu')
    shake(other.model, seed=2)
    with pytest.raises(InputError, match=r'does not find what the checkpoint finds: .*nothing was written'):
        export_detector(other, str(folder / 'leaf.pth'), str(tmp_path / 'm.onnx'), batch_size=None)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def no_new_graph(exported, monkeypatch):
    """The graph is the one that was written already, which is what takes time."""
    monkeypatch.setattr('mmslg.deployment.files.write_onnx', lambda path, *_: shutil.copy(exported[2], path))


def test_openvino(exported, tmp_path, no_new_graph):
    openvino = pytest.importorskip('openvino')
    folder, inferencer, _, _ = exported
    out = tmp_path / 'model.xml'
    lines = export_detector(inferencer, str(folder / 'leaf.pth'), str(out), 'openvino', batch_size=None)
    assert '(100.00%)' in lines[1] and out.with_suffix('.bin').is_file()
    facts = openvino.Core().read_model(out).get_rt_info(['mmslg', 'classes'])
    assert json.loads(facts.value) == ['person', 'car', 'bicycle']


def test_what_a_stream_is_measured_with_finds_the_same(exported, no_new_graph, monkeypatch):
    pytest.importorskip('openvino')
    folder, inferencer, _, _ = exported
    found = {}

    def once(calls, *args):
        found.update({name: call() for name, call in calls.items() if name != 'trunk'})
        return interleave(calls, *args)

    monkeypatch.setattr(stream_timing, 'interleave', once)
    monkeypatch.setattr(pair_inferencer, 'compile_features', lambda model: compile_features(model, 'eager'))
    runners = ('inferencer', 'compiled', 'onnx', 'openvino')
    rows = stream_timing.measure_stream(inferencer.cfg, str(folder / 'leaf.pth'), [(80, 53)], [2], runners, 1)
    assert [(row.batch, row.runner) for row in rows] == [(2, name) for name in ('trunk', *runners)]
    assert inferencer.cfg.test_dataloader.dataset.pipeline.resize.scale == (80, 60)
    assert all(row.pairs_per_second > 0 for row in rows)
    assert len(stream_timing.format_stream(rows).splitlines()) == 1 + len(rows)
    samples, others = (
        [sample.pred_instances.scores.numpy() for sample in found[name]]
        for name in ('inferencer', 'compiled')
    )
    files = [[row[: len(s)] for row, s in zip(found[name][1], samples)] for name in ('onnx', 'openvino')]
    for other in (others, *files):
        for scores, wanted in zip(other, samples, strict=True):
            assert len(wanted) > 5
            np.testing.assert_allclose(scores, wanted, atol=1e-4)


def test_rtmdet(exported, tmp_path):
    folder = exported[0]
    leaf = write_leaf(folder, 'heads/slgnet_flir_rtmdet.py', name='rtmdet.py')
    checkpoint, inferencer = loaded(leaf, [*OPTIONS, *RTMDET])
    lines = export_detector(inferencer, str(checkpoint), str(tmp_path / 'rtmdet.onnx'))
    found, total = (int(word) for word in lines[1].split(' detections')[0].split(' of '))
    assert found == total > 5, lines


@pytest.mark.parametrize('name', ['slgnet_dronevehicle.py', 'trunks/slgnet_flir_dinov3_small.py'])
def test_features_of_any_config(name, tmp_path):
    """All of configs/ have been tried; these two differ most, in levels and trunk."""
    model = tiny(name)
    graph = build_graph(model, (96, 70), 'features')
    write(tmp_path / 'f.pt2', graph, 'torch', 1, (4, 512), {})
    example = graph.example(1)
    with torch.no_grad():
        inputs = model.data_preprocessor(as_packed(*example, (70, 96)), False)['inputs']
        wanted = model.extract_feat(inputs)
    levels = load_runner(tmp_path / 'f.pt2')(*(value.numpy() for value in example))
    for level, other in zip(levels, wanted, strict=True):
        np.testing.assert_allclose(level, other.numpy(), atol=1e-4)


def test_torch_export(exported, tmp_path):
    folder, inferencer, _, _ = exported
    out = tmp_path / 'model.pt2'
    lines = export_detector(inferencer, str(folder / 'leaf.pth'), str(out), 'torch')
    assert '(100.00%)' in lines[1]
    facts = {'mmslg.json': ''}
    torch.export.load(out, extra_files=facts)
    assert json.loads(facts['mmslg.json'])['classes'] == ['person', 'car', 'bicycle']


def test_what_cannot_be_exported(exported, tmp_path, monkeypatch):
    folder, inferencer, _, _ = exported

    def refused(message, out='m.onnx', **options):
        with pytest.raises(InputError, match=message):
            export_detector(inferencer, str(folder / 'leaf.pth'), str(tmp_path / out), **options)

    refused('wants a name that ends in .onnx', 'm.pt')
    refused('wanted float32', 'm.pt2', file_format='torch', half=True)
    refused('none of the compared pairs becomes 60x60', size=(64, 64))
    monkeypatch.setitem(inferencer.model.bbox_head.test_cfg, 'nms', dict(type='soft_nms', iou_threshold=0.5))
    refused('another suppression than nms per class.*--part features')


def test_heads_that_are_written_and_heads_that_are_not():
    options = dict(part='detector')
    mini = build_detector(read_config(str(ROOT / 'configs' / 'slgnet_mini.py')))
    assert DenseGraph.fault(mini) is None
    oriented = build_detector(read_config(str(ROOT / 'configs' / 'heads' / 'slgnet_mini_oriented_rcnn.py')))
    with pytest.raises(InputError, match=r'has no dense head.*--part features'):
        build_graph(oriented, (64, 64), **options)
    assert build_graph(oriented, (64, 64), 'features').size == (64, 64)


def tiny(name):
    """The detector of a config with one narrow block in its trunk."""
    cfg = shipped_config(name)
    trunk = dict(checkpoint=None, depth=1, dtype='float32', embed_dim=24, num_heads=2)
    cfg.model.backbone.trunk.update(trunk)
    cfg.model.backbone.interaction_indexes = [0]
    for neck in cfg.model.neck:
        neck.in_channels = 24
    model = shake(build_detector(cfg)).eval()
    for name, param in model.named_parameters():
        if re.search(r'(_cls|rtm_cls\.\d)\.weight$', name):
            param.data *= 0.02  # else scores of 1 are equal, and which comes first is left to chance
    return model


@pytest.mark.parametrize('head', ['atss', 'fcos', 'retinanet', 'rtmdet'])
def test_dense_heads_predict_as_mmdetection_does(head):
    """Boxes that lie outside of the image are none, whatever their score."""
    model = tiny(f'heads/slgnet_flir_{head}.py')
    if head == 'retinanet':
        model.bbox_head.retina_reg.bias.data[::4] += 1.5  # to the right by one and a half of their widths
    graph = build_graph(model, (96, 70), 'detector', onnx=False)
    example = graph.example(1)
    with torch.no_grad():
        boxes, scores, labels = (value[0].numpy() for value in graph(*example))
        found = model.test_step(as_packed(*example, (70, 96)))[0].pred_instances.numpy()
    kept = labels >= 0
    mine, theirs = (boxes[kept], scores[kept], labels[kept]), (found.bboxes, found.scores, found.labels)
    result = compare([theirs], [mine], min_score=0.05)
    assert result.matched == result.total > 10, result


def test_ddq_detr_inherits_from_dino_and_is_none_to_the_export():
    assert DinoGraph.fault(DDQDETR.__new__(DDQDETR)) == 'DDQDETR is no DINO'


def test_suppression_is_that_of_mmcv():
    from mmcv.ops import batched_nms

    generator = torch.Generator().manual_seed(0)
    centers = torch.rand(2, 200, 2, generator=generator) * 60
    sides = 10 + 30 * torch.rand(2, 200, 2, generator=generator)
    boxes = torch.cat([centers, centers + sides], 2)
    scores = torch.rand(2, 200, generator=generator)
    labels = torch.randint(0, 3, (2, 200), generator=generator)
    valid = scores > 0.2
    spread = spread_by_label(boxes, labels, valid)
    for suppress in (keep_best, keep_best_torch):
        kept = suppress(spread, torch.where(valid, scores, 0), 0.5) & valid
        for i in range(2):
            _, order = batched_nms(
                boxes[i][valid[i]], scores[i][valid[i]], labels[i][valid[i]], dict(iou_threshold=0.5)
            )
            wanted = valid[i].nonzero().squeeze(1)[order].sort().values
            assert torch.equal(kept[i].nonzero().squeeze(1), wanted)
            assert 10 < len(wanted) < int(valid[i].sum())


def test_arrays_are_those_of_opencv(exported):
    folder, inferencer, _, _ = exported
    packed = inferencer.pack(Pair(*files_of(folder)[0]))
    visible, infrared, text = to_arrays([packed], True)
    assert visible.shape == (1, 53, 80, 3) and infrared.shape == (1, 53, 80) and text.shape == (1, 4, 512)
    assert visible.dtype == infrared.dtype == np.uint8
    assert np.array_equal(visible[0, 7, 9], packed['inputs']['img'][:3, 7, 9])


def as_packed(visible, infrared, text, shape):
    """Inputs of a graph as a batch of the test pipeline."""
    image = torch.cat([visible, infrared.unsqueeze(3)], 3)[0].permute(2, 0, 1)
    sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0)))
    return dict(inputs=dict(img=[image], text=[text[0]]), data_samples=[sample])


def test_dino_is_a_graph_of_the_same_detections():
    settings = {
        'model.backbone.trunk': dict(
            checkpoint=None, depth=2, embed_dim=24, num_heads=2, img_size=224, dtype='float32'
        ),
        'model.backbone.structure': dict(stem_dims=(8, 8), level_dims=(8, 8, 8), out_dims=16),
        'model.neck.0.in_channels': 24,
        'model.neck.1.in_channels': 24,
        'model.num_queries': 30,
        'model.encoder.num_layers': 1,
        'model.decoder.num_layers': 2,
        'model.test_cfg.max_per_img': 10,
    }
    model = shake(build_detector(read_config(str(ROOT / 'configs' / 'slgnet_flir.py'), settings))).eval()
    graph = build_graph(model, (80, 53), 'detector')
    assert isinstance(graph, DinoGraph)
    example = graph.example(1)
    with torch.no_grad():
        boxes, scores, labels = graph(*example)
        found = model.test_step(as_packed(*example, (53, 80)))[0].pred_instances
    torch.testing.assert_close(boxes[0], found.bboxes)
    torch.testing.assert_close(scores[0], found.scores)
    assert torch.equal(labels[0], found.labels)


def test_the_tool(exported, monkeypatch, capsys):
    folder, _, out, _ = exported
    written = Path(folder, 'copy.onnx')
    monkeypatch.setattr('mmslg.deployment.export.write', lambda path, *_: shutil.copy(out, path))
    code = run_here(
        'deploy/export.py', monkeypatch, folder / 'leaf.py', folder / 'leaf.pth', '--out', written,
        '--batch', 'dynamic', '--verify', folder / 'visible', folder / 'infrared', '--cfg-options', *OPTIONS,
    )  # fmt: skip
    out = capsys.readouterr().out
    assert not code and ' of 7 pairs agree (100.00%)' in out and written.is_file()
