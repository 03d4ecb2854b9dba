"""Backbone and necks as torch compiles them; a backend that generates no code keeps it short."""

import copy

import pytest
import torch
from helpers import ROOT
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import nn
from toy import write_toy

from mmslg.engine import PairRunner
from mmslg.errors import InputError
from mmslg.models.compilation import compile_features

BACKEND = 'aot_eager'
SIZES = [(96, 64), (128, 96), (64, 160), (192, 64)]


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


def flir(dtype='float32', depth=2, **options):
    """Backbone and necks of slgnet_flir with a small trunk."""
    cfg = Config.fromfile(ROOT / 'configs' / 'slgnet_flir.py').model
    cfg.backbone.trunk.update(checkpoint=None, depth=depth, embed_dim=48, num_heads=3, dtype=dtype)
    cfg.backbone.update(structure=dict(stem_dims=(8, 8), level_dims=(8, 8, 8), out_dims=16), **options)
    for neck in cfg.neck:
        neck.in_channels = 48
    cfg.neck[1].out_channels = 16
    torch.manual_seed(0)
    model = nn.Module()
    model.backbone, model.neck = MODELS.build(cfg.backbone), MODELS.build(cfg.neck)
    for adapter in model.backbone.adapters:
        nn.init.normal_(adapter.gamma)
    return model.train()


def inputs_of(size):
    torch.manual_seed(1)
    images = torch.randn(2, 1, 3, size[1], size[0])
    return dict(rgb=images[0], ir=images[1], text=torch.randn(1, 4, 512))


def features(model, inputs):
    return model.neck(model.backbone(inputs))


@pytest.mark.parametrize(
    ('dtype', 'options', 'learning'),
    [
        ('float32', {}, True),
        ('bfloat16', {}, True),
        ('bfloat16', {}, False),
        ('bfloat16', dict(with_cp=True), True),
    ],
)
def test_one_graph_without_a_break(dtype, options, learning):
    model = flir(dtype, **options)
    inputs = inputs_of((96, 64))
    with torch.set_grad_enabled(learning):
        report = torch._dynamo.explain(lambda inputs: features(model, inputs))(inputs)
    assert report.graph_break_count == 0, report.break_reasons
    assert report.graph_count == 1


def test_compiled_equals_eager_with_its_gradients():
    model = flir()
    inputs = inputs_of((96, 64))
    outputs, grads = [], []
    for run in (lambda: features(model, inputs), lambda: features(compile_features(model, BACKEND), inputs)):
        levels = run()
        sum(level.square().mean() for level in levels).backward()
        outputs.append(levels)
        grads.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
        model.zero_grad()
    for eager, compiled in zip(*outputs):
        assert (eager - compiled).abs().max() <= 1e-4
    assert grads[0].keys() == grads[1].keys() and len(grads[0]) > 40
    for name, grad in grads[0].items():
        torch.testing.assert_close(grad, grads[1][name], rtol=1e-3, atol=1e-5, msg=name)


@torch.no_grad()
@torch._dynamo.config.patch(recompile_limit=2)
def test_sizes_beyond_the_limit_run_uncompiled():
    model = flir()
    expected = [features(model, inputs_of(size)) for size in SIZES]
    compile_features(model, 'eager')
    graphs = []
    for size, eager in zip(SIZES, expected):
        for level, other in zip(features(model, inputs_of(size)), eager):
            assert (level - other).abs().max() <= 1e-4
        graphs.append(torch._dynamo.utils.counters['stats']['unique_graphs'])
    assert graphs[0] < graphs[1] == graphs[2] == graphs[3]


def test_on_a_cpu_sampling_is_an_operator_in_the_graph():
    calls = []

    def backend(graph, inputs):
        calls.extend(str(node.target) for node in graph.graph.nodes if 'sample' in str(node.target))
        return graph.forward

    model = flir()
    with torch.no_grad():
        expected = features(model, inputs_of((96, 64)))
        compile_features(model, 'eager')
        model.backbone.compile(backend=backend, dynamic=False)
        for level, other in zip(features(model, inputs_of((96, 64))), expected):
            assert (level - other).abs().max() <= 1e-4
    assert calls and all('mmslg' in call and 'sample_bilinear' in call for call in calls), calls


def test_names_stay_and_a_copy_runs_by_itself():
    model = flir()
    names = list(model.state_dict())
    inputs = inputs_of((96, 64))
    compile_features(model, BACKEND)
    expected = features(model, inputs)
    copied = copy.deepcopy(model)
    assert list(model.state_dict()) == list(copied.state_dict()) == names
    with torch.no_grad():
        for param in model.parameters():
            param.fill_(float('nan'))
    for level, other in zip(features(copied, inputs), expected):
        assert (level - other).abs().max() <= 1e-4


def test_new_weights_are_seen():
    model = flir()
    inputs = inputs_of((96, 64))
    compile_features(model, BACKEND)
    before = features(model, inputs)
    state = {
        name: value + 0.01 if 'pos_embed' in name else value for name, value in model.state_dict().items()
    }
    state['backbone.trunk.vit.pos_embed'][:, 1:, 0] += 1
    model.load_state_dict(state)
    after = features(model, inputs)
    assert (after[0] - before[0]).abs().max() > 1e-3
    model.backbone._compiled_call_impl = model.neck._compiled_call_impl = None
    assert (features(model, inputs)[0] - after[0]).abs().max() <= 1e-4


def test_a_machine_without_a_compiler():
    import torch._inductor.config as inductor

    settings = {'cpp.cxx': ('no-such-compiler',), 'force_disable_caches': True}
    with (
        inductor.patch(settings),
        pytest.raises(
            InputError, match=r'--compile: torch cannot compile here \(.*install a C\+\+ compiler'
        ) as error,
    ):
        compile_features(flir(depth=1))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('setting', [None, False, dict(backend='eager')])
def test_the_runner_compiles_if_the_config_says_so(monkeypatch, setting):
    monkeypatch.setattr(Runner, 'wrap_model', lambda self, model: model)
    runner = object.__new__(PairRunner)
    runner.cfg = dict(compile=setting)
    model = runner.wrap_model(flir(depth=1))
    compiled = [part._compiled_call_impl is not None for part in (model.backbone, model.neck, model)]
    assert compiled == [bool(setting), bool(setting), False]


def test_the_option_is_the_setting(run_quickly, tmp_path):
    """A toy has nothing to compile, so that the line shows that it was tried."""
    for words in (['--compile'], ['--cfg-options', 'compile=True']):
        result = run_quickly('train.py', write_toy(tmp_path), '--work-dir', tmp_path / 'run', *words)
        assert result.returncode == 1
        assert result.stderr.strip().endswith('error: --compile: ToyModel has no backbone to compile')
