"""fp16 autocast around a detector, whatever its head, and the trunk in half precision."""

import contextlib
import copy

import cv2
import pytest
import torch
from helpers import ROOT
from mmcv.ops import MultiScaleDeformableAttention
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch.utils._python_dispatch import TorchDispatchMode

from mmslg.apis.profiling import build_detector, find_parts, toy_batch
from mmslg.engine import PairRunner
from mmslg.models.autocast import limit_autocast, to_float32
from mmslg.models.layers import SobelGradient, sparse_attention
from mmslg.models.layers.sparse_attention import sample_bilinear

HEADS = {
    'dino': 'slgnet_flir.py',
    'atss': 'slgnet_mini.py',
    'cascade_rcnn': 'heads/slgnet_flir_cascade_rcnn.py',
    'rotated_atss': 'slgnet_mini_oriented.py',
    'oriented_rcnn': 'heads/slgnet_mini_oriented_rcnn.py',
}
HALF = (torch.float16, torch.bfloat16)


@pytest.fixture(autouse=True)
def _scope():
    yield
    DefaultScope._instance_dict.clear()


def tiny(head, dtype='float32'):
    """A detector of a few channels, with that head, and a batch for it."""
    cfg = Config.fromfile(ROOT / 'configs' / HEADS[head])
    model = cfg.model
    trunk = dict(name='vit_small_patch14_dinov2', depth=2, embed_dim=24, num_heads=2, dtype=dtype)
    model.backbone.trunk = dict(patch_size=16, img_size=224, **trunk)
    model.backbone.update(structure=dict(stem_dims=(8, 8), level_dims=(8, 8, 8), out_dims=16), num_heads=2)
    model.neck[0].update(in_channels=24, hidden_dims=8)
    model.neck[1].update(in_channels=24)
    if head == 'dino':
        model.num_queries = 20
        model.test_cfg.max_per_img = 30
        model.encoder.num_layers = model.decoder.num_layers = 1
        model.encoder.layer_cfg.ffn_cfg.feedforward_channels = 64
        model.decoder.layer_cfg.ffn_cfg.feedforward_channels = 64
    elif 'roi_head' in model:
        model.train_cfg.rpn_proposal.update(nms_pre=50, max_per_img=30)
        model.test_cfg.rpn.update(nms_pre=50, max_per_img=30)
    else:
        model.test_cfg.update(score_thr=0.0, nms_pre=50)
    detector = build_detector(cfg)
    for adapter in detector.backbone.adapters:
        torch.nn.init.constant_(adapter.gamma, 0.1)
    return detector, cfg


class Types(TorchDispatchMode):
    """Records the operations whose results are in half precision, by where they were made."""

    def __init__(self, *allowed):
        super().__init__()
        self.inside, self.outside, self.depth = set(), set(), 0
        for owner, name in allowed:
            object.__setattr__(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, function):
        def call(*args, **kwargs):
            self.depth += 1
            try:
                return function(*args, **kwargs)
            finally:
                self.depth -= 1

        return call

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(value, torch.Tensor) and value.dtype in HALF:
                (self.inside if self.depth else self.outside).add(str(func))
        return out


def run(model, cfg, record):
    """A loss and a prediction, with the types recorded."""
    torch.manual_seed(0)
    batch = toy_batch(model, cfg, (128, 128), 1)
    model.train()
    with record:
        losses = model(**batch, mode='loss')
        model.eval()
        with torch.no_grad():
            found = model(**batch, mode='predict')
    total, _ = model.parse_losses(losses)
    assert total.dtype == torch.float32 and total.isfinite()
    total.backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert grads and all(g.isfinite().all() for g in grads)
    assert len(found[0].pred_instances) and found[0].pred_instances.scores.dtype == torch.float32
    return losses


CRASHES = {
    'cascade_rcnn': (RuntimeError, 'expected scalar type Float but found Half'),  # NMS
    'rotated_atss': (NotImplementedError, "not implemented for 'Half'"),  # the Gaussian loss's inverse
    'oriented_rcnn': (cv2.error, 'convexHull'),  # the box coder
}
"""What stock heads say to half precision on a CPU; ATSS computes on, DINO crashes from a logit of 8.4."""


@pytest.mark.parametrize('head', HEADS)
def test_under_autocast_no_loss_cost_or_box_is_below_float32(head):
    model, cfg = tiny(head)
    batch = toy_batch(model, cfg, (128, 128), 1)
    stock = Types((model, 'extract_feat'))
    kind, message = CRASHES.get(head, (None, None))
    crash = pytest.raises(kind, match=message) if kind else contextlib.nullcontext()
    with crash, torch.autocast('cpu', torch.float16), stock:
        model(**batch, mode='loss')
    assert stock.outside
    del model.__dict__['extract_feat']

    limit_autocast(model)
    record = Types((model, 'extract_feat'), *([(model, 'forward_encoder')] if head == 'dino' else []))
    with torch.autocast('cpu', torch.float16):
        run(model, cfg, record)
    assert record.inside and not record.outside


def dino_with_logits(logit):
    model, cfg = tiny('dino')
    for layer in model.bbox_head.cls_branches:
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, logit)
    return model, toy_batch(model, cfg, (128, 128), 1)


@pytest.mark.parametrize('guarded', [False, True])
@pytest.mark.parametrize('logit', [8.0, 8.4])
def test_dino_matches_at_high_logits(logit, guarded):
    model, batch = dino_with_logits(logit)
    if guarded:
        limit_autocast(model)
    crash = pytest.raises(ValueError, match='matrix contains invalid numeric entries')
    with crash if logit == 8.4 and not guarded else contextlib.nullcontext():
        with torch.autocast('cpu', torch.float16):
            losses = model(**batch, mode='loss')
        assert all(loss.isfinite().all() for loss in losses.values())


def test_within_the_features_sampling_points_and_ssim_are_float32(monkeypatch):
    model, cfg = tiny('dino')
    limit_autocast(model)
    seen = []
    fragile = (MultiScaleDeformableAttention, SobelGradient)
    grids = []

    def record(maps, grid):
        grids.append(grid.dtype)
        return sample_bilinear(maps, grid)

    monkeypatch.setattr(sparse_attention, 'sample_bilinear', record)
    for module in model.modules():
        if isinstance(module, fragile):
            module.register_forward_hook(lambda module, args, out: seen.append((type(module), out.dtype)))
        if hasattr(module, 'sampling_offsets'):
            layer = module.sampling_offsets
            layer.register_forward_hook(lambda layer, args, out: seen.append((type(layer), out.dtype)))
    encoder_linear = []
    model.encoder.layers[0].ffn.layers[1].register_forward_hook(
        lambda module, args, out: encoder_linear.append(out.dtype)
    )
    with torch.autocast('cpu', torch.float16):
        model(**toy_batch(model, cfg, (128, 128), 1), mode='loss')
    assert encoder_linear == [torch.float16]
    assert {dtype for _, dtype in seen} == set(grids) == {torch.float32}
    assert {kind.__name__ for kind, _ in seen} == {'Linear', *(kind.__name__ for kind in fragile)}


def test_the_model_stays_what_it_was():
    model, cfg = tiny('dino')
    batch = toy_batch(model, cfg, (128, 128), 1)
    kinds = [type(module) for module in model.modules()]
    names = list(model.state_dict())
    model.eval()
    with torch.no_grad():
        expected = model(**batch, mode='predict')[0].pred_instances
    assert limit_autocast(limit_autocast(model)) is model
    assert list(model.state_dict()) == names
    assert all(isinstance(module, kind) for module, kind in zip(model.modules(), kinds))
    assert [str(type(module)) for module in model.modules()] == [str(kind) for kind in kinds]
    with torch.no_grad():
        found = model(**batch, mode='predict')[0].pred_instances
    assert torch.equal(found.bboxes, expected.bboxes) and torch.equal(found.scores, expected.scores)


def test_a_copy_is_guarded_by_itself():
    model, cfg = tiny('atss')
    copied = copy.deepcopy(limit_autocast(model))
    with torch.no_grad():
        for param in model.parameters():
            param.fill_(float('nan'))
    record = Types((copied, 'extract_feat'))
    with torch.autocast('cpu', torch.bfloat16):  # that of MMEngine's loops with fp16=True on a CPU
        run(copied, cfg, record)
    assert record.inside and not record.outside
    record.inside.clear()
    run(copied, cfg, record)  # autocast is over
    assert not record.inside


def test_the_runner_guards_what_it_builds():
    model, cfg = tiny('atss')
    runner = object.__new__(PairRunner)
    runner.cfg = cfg
    record = Types((runner.build_model(model), 'extract_feat'))
    with torch.autocast('cpu', torch.float16):
        run(model, cfg, record)
    assert record.inside and not record.outside


def test_the_guarded_backbone_compiles_to_one_graph():
    model, cfg = tiny('atss', 'bfloat16')
    inputs = toy_batch(limit_autocast(model).eval(), cfg, (128, 128), 1)['inputs']
    torch._dynamo.reset()
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        explained = torch._dynamo.explain(model.backbone)(inputs)
    assert (explained.graph_count, explained.graph_break_count) == (1, 0), explained.break_reasons


def test_other_models_are_left_alone():
    layer = torch.nn.Linear(1, 1)
    assert type(limit_autocast(layer)) is torch.nn.Linear


def test_outputs_are_cast_whatever_they_are_in():
    half = torch.ones(1, dtype=torch.bfloat16)
    found = to_float32({'a': (half, [half.half()]), 'b': torch.ones(1, dtype=torch.long), 'c': None})
    assert found['a'][0].dtype == found['a'][1][0].dtype == torch.float32
    assert found['b'].dtype == torch.long and found['c'] is None


@pytest.mark.parametrize('head', HEADS)
def test_with_the_trunk_in_half_precision_all_else_is_float32(head):
    model, cfg = tiny(head, 'bfloat16')
    record = Types((find_parts(model).trunk, 'run_blocks'))
    run(model, cfg, record)
    assert record.inside and not record.outside
