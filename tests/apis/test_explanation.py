import copy
import json
import runpy

import numpy as np
import pytest
import torch
from helpers import ROOT, TINY, make_pairs, run_here
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmslg.apis.changes import compare
from mmslg.apis.explanation import explain, one_modality, without_language, without_structure
from mmslg.apis.explanation_page import ExplainedPair
from mmslg.apis.inference import predict
from mmslg.apis.launch import parse_options
from mmslg.apis.profiling import build_detector, count_parameters, find_parts, toy_batch
from mmslg.apis.timing import measured_layers
from mmslg.deployment.graphs import FeatureGraph
from mmslg.errors import InputError
from mmslg.visualization.report_page import draw_page
from mmslg.visualization.samples import build_split


@pytest.fixture(scope='module')
def setting(tmp_path_factory):
    """A tiny detector whose adapters and language modulation do something, one packed pair, its folder."""
    folder = make_pairs(tmp_path_factory.mktemp('explained') / 'pairs')
    cfg = Config.fromfile(folder / 'leaf.py')
    cfg.merge_from_dict(parse_options(TINY))
    torch.manual_seed(0)
    model = build_detector(cfg).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.startswith(('backbone.adapters', 'neck.0')) and not value.any():
                value.normal_(std=0.3)
    torch.save({'state_dict': model.state_dict()}, folder / 'w.pth')
    return model, build_split(cfg, 'test')[0], folder


def boxes(found):
    return torch.cat([found.bboxes, found.scores[:, None]], 1)


def test_it_records_what_the_modules_compute(setting):
    model, packed, _ = setting
    before = boxes(predict(model, packed))
    explanation = explain(model, packed)
    assert torch.equal(boxes(explanation.found['all']), before)
    assert [level.stride for level in explanation.levels] == [8, 16, 32]
    assert [level.ref.shape for level in explanation.levels] == [(8, 12), (4, 6), (2, 3)]
    backbone = find_parts(model).backbone
    image = model.data_preprocessor(dict(inputs=dict(img=[packed['inputs']['img']])))['inputs']
    pair = backbone.structure_encoder.modality_maps(image['rgb'], image['ir'])[1]
    w_rgb, w_ir = backbone.structure_encoder.alignment.weights(*pair)
    np.testing.assert_allclose(explanation.levels[1].w_rgb, w_rgb[0, 0].detach(), atol=1e-6)
    np.testing.assert_allclose(explanation.levels[1].w_ir, w_ir[0, 0].detach(), atol=1e-6)
    assert [look.block for look in explanation.looks] == [0, 1]
    attention, called = backbone.adapters[1].attention, []
    hook = attention.register_forward_hook(lambda module, args, out: called.append(args))
    predict(model, packed)
    hook.remove()
    query, _, shapes, centers = called[0]
    points, weights = attention.sampling_points(query, shapes, centers)
    torch.testing.assert_close(explanation.looks[1].points, points[0].detach())
    torch.testing.assert_close(explanation.looks[1].weights, weights[0].detach())
    assert explanation.looks[0].points.shape == (4 * 6, 2, 3, 4, 2) and explanation.looks[0].change > 0
    lgm = find_parts(model).lgm
    scale, shift = lgm.modulation.parameters_of(packed['inputs']['text'][None])
    torch.testing.assert_close(explanation.language.scale, scale[0].detach())
    torch.testing.assert_close(explanation.language.shift, shift[0].detach())


def test_nothing_is_left_behind(setting):
    model, packed, _ = setting
    explain(model, packed)
    assert not any(module._forward_hooks for module in model.modules())
    assert model.data_preprocessor.modality == 'both'


def test_without_structure_is_the_bare_trunk(setting):
    model, packed, _ = setting
    bare = copy.deepcopy(model)
    for adapter in find_parts(bare).backbone.adapters:
        adapter.gamma.data.zero_()
    with without_structure(model):
        found = predict(model, packed)
    assert torch.equal(boxes(found), boxes(predict(bare, packed)))
    assert not torch.equal(boxes(found), boxes(predict(model, packed)))


def test_without_language_scale_and_shift_are_zero(setting):
    model, packed, _ = setting
    mute = copy.deepcopy(model)
    for head in (find_parts(mute).lgm.modulation.scale, find_parts(mute).lgm.modulation.shift):
        head[-1].weight.data.zero_()
        head[-1].bias.data.zero_()
    with without_language(model):
        found = predict(model, packed)
    torch.testing.assert_close(boxes(found), boxes(predict(mute, packed)))
    assert not torch.equal(boxes(found), boxes(predict(model, packed)))


def test_one_modality_does_not_see_the_other(setting):
    model, packed, _ = setting
    other = copy.deepcopy(packed)
    other['inputs']['img'][:3] = 0
    with one_modality(model, 'ir'):
        assert torch.equal(boxes(predict(model, packed)), boxes(predict(model, other)))
    with one_modality(model, 'rgb'):
        assert not torch.equal(boxes(predict(model, packed)), boxes(predict(model, other)))


def test_shares_of_a_box_are_those_of_its_cells(setting):
    model, packed, _ = setting
    pair = ExplainedPair(packed, explain(model, packed), ('person', 'car', 'bicycle'), 0.0)
    figures = pair.figures()
    found = figures['detections']['all']['boxes']
    assert len(found) == len(figures['shares_of_boxes']) > 0
    # Pictures of 96x64 go through the model as they are.
    expected = pair.explanation.levels[0].shares(found[0]['box'])
    assert figures['shares_of_boxes'][0] == pytest.approx(expected, abs=1e-3)
    assert (figures['detections']['all']['gone'], figures['detections']['all']['come']) == (0, 0)
    assert draw_page('title', pair.sections()).shape[0] > 1000


def test_a_pair_without_detections_and_caption_is_drawn(setting):
    model, packed, _ = setting
    explanation = explain(model, packed)
    explanation.language = None
    pair = ExplainedPair(packed, explanation, ('person', 'car', 'bicycle'), score_thr=2.0)
    assert len(pair.sections()) == 5 and pair.figures()['language'] is None


def test_a_detection_that_another_class_overlaps_has_gone(setting):
    found = predict(setting[0], setting[1])[:1]
    other = found.clone()
    other.labels = (other.labels + 1) % 3
    assert compare(found, found, 0.0) == dict(detections=1, gone=0, come=0, score_change=0.0)
    assert compare(found, other, 0.0)['gone'] == compare(found, other, 0.0)['come'] == 1


def found_at(boxes, scores, labels):
    boxes, scores = torch.tensor(boxes, dtype=torch.float), torch.tensor(scores)
    return InstanceData(bboxes=boxes, scores=scores, labels=torch.tensor(labels))


def test_each_detection_has_one_partner_at_most():
    """Three boxes at a place where the other way has one: two have gone."""
    near = [[0, 0, 10, 10], [0, 0, 10, 9], [0, 1, 10, 10]]
    own = found_at([*near, [50, 50, 60, 60]], [0.9, 0.8, 0.7, 0.6], [0, 0, 0, 1])
    other = found_at([near[0], [50, 50, 60, 60], [80, 80, 90, 90]], [0.5, 0.4, 0.9], [0, 1, 1])
    # 0.9 to 0.5 and 0.6 to 0.4.
    expected = dict(detections=4, gone=2, come=1, score_change=pytest.approx(0.3))
    assert compare(own, other, 0.0) == expected
    back = compare(other, own, 0.0)
    assert (back['detections'], back['gone'], back['come']) == (3, 1, 2)
    nothing = compare(own, other, 0.95)
    assert nothing == dict(detections=0, gone=0, come=0, score_change=0.0)


def test_as_many_detections_as_can_have_a_partner():
    """The best match of all (IoU 0.8) would leave two alone, between which there is 0.28."""
    own = found_at([[0, 0, 10, 10], [0, 0, 10, 5]], [0.9, 0.8], [0, 0])
    other = found_at([[0, 0, 10, 8], [0, 0, 10, 18]], [0.6, 0.5], [0, 0])
    # 0.9 to 0.5 (IoU 0.56) and 0.8 to 0.6 (0.63).
    assert compare(own, other, 0.0) == dict(detections=2, gone=0, come=0, score_change=pytest.approx(0.3))


def explained(setting, monkeypatch, tmp_path, *more, rgb='visible', ir='infrared'):
    folder = setting[2]
    pair = [folder / rgb / 'test_001.png', folder / ir / 'test_001.png']
    arguments = ['--rgb', pair[0], '--ir', pair[1], '--out', tmp_path / 'out', '--score-thr', 0.0, *more]
    tool = 'explain_pair.py'
    return run_here(
        tool, monkeypatch, folder / 'leaf.py', folder / 'w.pth', *arguments, '--cfg-options', *TINY
    )


def test_explain_pair_writes_a_picture_a_page_and_figures(setting, monkeypatch, tmp_path, capsys):
    store = ['--caption-store', setting[2] / 'captions.safetensors']
    code = explained(setting, monkeypatch, tmp_path, '--json', tmp_path / 'f.json', *store)
    assert not code, capsys.readouterr().err
    out = capsys.readouterr().out
    assert 'stride 8: edges ' in out and 'captions: 1 from the store' in out
    figures = json.loads((tmp_path / 'f.json').read_text())
    assert set(figures['detections']) == {
        'all', 'without structure', 'without language', 'visible alone', 'infrared alone',
    }  # fmt: skip
    assert figures['caption']['environment'] == 'daylight' and figures['language']['scale_mean'] > 0
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['test_001.html', 'test_001.png']
    page = (tmp_path / 'out' / 'test_001.html').read_text()
    assert 'Blue: the stronger edge is in the visible image; orange: in the infrared one.' in page
    assert 'Which modality supplied the edge' in page and 'environment: daylight' in page


def test_tokens_are_read_or_refused(setting, monkeypatch, tmp_path, capsys):
    assert explained(setting, monkeypatch, tmp_path, '--tokens', '3;4') == 1
    assert 'error: --tokens 3;4: wanted X,Y in pixels' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
    read_place = runpy.run_path(str(ROOT / 'tools/analysis/explain_pair.py'))['read_place']
    assert read_place('3,4.5') == (3.0, 4.5)


def test_a_token_outside_of_the_image_is_refused(setting, monkeypatch, tmp_path, capsys):
    for place in ('96,10', '10,64', '500,500'):
        assert explained(setting, monkeypatch, tmp_path, '--tokens', '95,63', place) == 1
        line = f'--tokens {place}: not in the image; wanted X from 0 to 95, Y from 0 to 63'
        assert capsys.readouterr().err.splitlines()[-1] == f'error: {line}'
    assert not (tmp_path / 'out').exists()
    assert not explained(setting, monkeypatch, tmp_path, '--tokens', '95,63', '0,0')


def test_swapped_images_and_one_image_twice_are_refused(setting, monkeypatch, tmp_path, capsys):
    swapped = dict(rgb='infrared', ir='visible')
    visible, infrared = (setting[2] / folder / 'test_001.png' for folder in ('visible', 'infrared'))
    assert explained(setting, monkeypatch, tmp_path, **swapped) == 1
    error = capsys.readouterr().err
    assert error.startswith(f'error: {infrared}, {visible}: the visible image is gray and') and '\n' not in (
        error.strip()
    )
    assert explained(setting, monkeypatch, tmp_path, ir='visible') == 1
    error = capsys.readouterr().err
    assert error == (
        f'error: {visible}: given as the visible and as the infrared image; wanted one of each\n'
    )
    assert not (tmp_path / 'out').exists()
    assert not explained(setting, monkeypatch, tmp_path, '--no-swap-check', **swapped)


def test_without_structure_there_is_nothing_to_explain_and_all_else_works(setting):
    """The article's baseline: its parameters are counted and its layers timed, but no page is made."""
    _, packed, folder = setting
    cfg = Config.fromfile(folder / 'leaf.py')
    cfg.merge_from_dict(parse_options(TINY))
    cfg.model.backbone.interaction_indexes = []
    cfg.model.neck = cfg.model.neck[1:]
    model = build_detector(cfg).eval()
    with pytest.raises(InputError, match='no structure encoder'):
        explain(model, packed)
    rows = {row.name: row for row in count_parameters(model)}
    assert rows['SA-Adapter + LGM'].trainable == 0 < rows['pyramid'].trainable
    batch = toy_batch(model, cfg, (96, 64), 1, training=False)
    with torch.no_grad():
        layers = measured_layers(find_parts(model), batch['inputs'])
    assert [name.split(',')[0] for name in layers] == ['pyramid'] * 4
    assert predict(model, packed).bboxes.shape[1] == 4


def test_a_graph_swaps_the_images_as_the_preprocessor_does(setting):
    model, packed, _ = setting
    image = packed['inputs']['img']
    with torch.no_grad(), one_modality(model, 'swapped'):
        inputs = model.data_preprocessor(dict(inputs=dict(img=[image])))['inputs']
        text = torch.randn(1, 4, 512)
        expected = model.extract_feat({**inputs, 'text': text})
        graph = FeatureGraph(model, (image.shape[2], image.shape[1]))
    found = graph(image[None, :3].permute(0, 2, 3, 1), image[None, 3], text)
    plain = FeatureGraph(model, graph.size)(image[None, :3].permute(0, 2, 3, 1), image[None, 3], text)
    for own, wanted, other in zip(found, expected, plain):
        torch.testing.assert_close(own, wanted, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(other, wanted, atol=1e-3)
