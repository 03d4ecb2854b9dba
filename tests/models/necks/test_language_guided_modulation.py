import pytest
import torch
from helpers import ROOT
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from mmengine.utils import import_modules_from_strings

from mmslg.errors import InputError
from mmslg.models import LanguageGuidedModulation
from mmslg.models.outputs import BackboneOutput


@pytest.fixture
def config():
    import_modules_from_strings(['mmdet.models'])
    cfg = Config.fromfile(ROOT / 'configs' / 'slgnet_mini.py')
    cfg.model.backbone.trunk.checkpoint = None
    init_default_scope(cfg.default_scope)
    yield cfg
    DefaultScope._instance_dict.clear()


@pytest.mark.parametrize('shape', [(4, 512), (4, 5, 512)])
def test_an_untrained_modulation_changes_nothing_of_a_whole_model(config, shape):
    neck = config.model.neck
    assert [part.type for part in neck] == ['mmslg.LanguageGuidedModulation', 'mmslg.SimpleFeaturePyramid']
    torch.manual_seed(0)
    guided = MODELS.build(config.model).eval()
    plain = MODELS.build({**config.model, 'neck': neck[1:]}).eval()
    weights = guided.state_dict()
    kept = {n.replace('neck.1.', 'neck.0.'): w for n, w in weights.items() if not n.startswith('neck.0.')}
    plain.load_state_dict(kept)
    inputs = dict(rgb=torch.randn(2, 3, 64, 96), ir=torch.randn(2, 3, 64, 96), text=torch.randn(2, *shape))
    with torch.no_grad():
        outputs = [model(inputs, mode='tensor') for model in (guided, plain)]
        assert all(torch.equal(a, b) for a, b in zip(*map(flat, outputs)))
        torch.nn.init.normal_(guided.neck[0].modulation.shift[-1].weight)
        assert not all(torch.equal(a, b) for a, b in zip(flat(guided(inputs)), flat(outputs[1])))


def flat(outputs):
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [tensor for output in outputs for tensor in flat(output)]


@pytest.mark.parametrize('shape', [(2, 3, 6), (2, 6), (2, 4, 5, 1, 6)])
def test_text_of_another_shape_is_refused(shape):
    lgm = LanguageGuidedModulation(8, text_dims=6)
    message = r'\(text_dims=6\) got captions \(.*\), wanted \(B, 4, 6\) pooled or \(B, 4, L, 6\) as tokens'
    with pytest.raises(InputError, match=message):
        lgm(BackboneOutput((torch.randn(2, 8, 4, 6),), torch.zeros(shape)))


def test_no_text_at_all_leaves_one_scale_and_shift_for_all():
    lgm = LanguageGuidedModulation(8, text_dims=6)
    for head in (lgm.modulation.scale, lgm.modulation.shift):
        torch.nn.init.normal_(head[-1].weight)
        torch.nn.init.normal_(head[0].bias)
    maps = torch.randn(1, 8, 4, 6).repeat(2, 1, 1, 1)
    silent = lgm(BackboneOutput((maps,), torch.zeros(2, 4, 6))).maps[0]
    assert torch.equal(silent[0], silent[1]) and not torch.equal(silent, maps)


def trained_lgm():
    lgm = LanguageGuidedModulation(8, text_dims=6).eval()
    for head in (lgm.modulation.scale, lgm.modulation.shift):
        torch.nn.init.normal_(head[-1].weight)
    return lgm


@pytest.mark.parametrize('shape', [(4, 6), (4, 5, 6)])
def test_a_caption_that_is_held_gives_the_same_bits_and_is_computed_once(shape, monkeypatch):
    lgm, text = trained_lgm(), torch.randn(shape)
    inputs = BackboneOutput((torch.randn(1, 8, 4, 6), torch.randn(1, 8, 2, 3)), text[None])
    wanted = lgm(inputs).maps
    calls, compute = [], lgm.modulation.parameters_of
    monkeypatch.setattr(lgm.modulation, 'parameters_of', lambda text: calls.append(1) or compute(text))
    lgm.hold(text)
    for _ in range(3):
        held = lgm(inputs._replace(text=torch.zeros(1, 4, 6))).maps
        assert all(torch.equal(*maps) for maps in zip(held, wanted))
    assert all(torch.equal(*maps) for maps in zip(lgm(inputs._replace(text=None)).maps, wanted))
    assert len(calls) == 1


def test_another_caption_takes_its_place_and_none_ends_it():
    lgm, texts = trained_lgm(), torch.randn(2, 4, 6)
    maps = (torch.randn(1, 8, 4, 6),)
    wanted = [lgm(BackboneOutput(maps, text[None])).maps[0] for text in texts]
    assert not torch.equal(*wanted)
    for text, result in zip(texts, wanted):
        lgm.hold(text)
        assert torch.equal(lgm(BackboneOutput(maps)).maps[0], result)
    lgm.hold(None)
    with pytest.raises(InputError, match='got no text'):
        lgm(BackboneOutput(maps))
    with pytest.raises(InputError, match='captions of width 7'):
        lgm.hold(torch.zeros(4, 7))
