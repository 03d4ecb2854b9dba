"""Several processes learn what one learns from their batches together."""

import pytest
import torch
from forked import run_forked
from helpers import ROOT, TINY
from mmengine.config import Config, DictAction
from mmengine.model import MMDistributedDataParallel
from torch import nn
from torch.distributed import init_process_group

from mmslg.apis.profiling import build_detector, toy_batch, training_loss

DINO = """
_base_ = ['{root}/configs/_base_/models/slg_vit_mini.py', '{root}/configs/_base_/heads/dino.py']
default_scope = 'mmdet'
model = dict(
    backbone=_base_.backbone,
    neck=[_base_.lgm, _base_.pyramid],
    data_preprocessor=_base_.data_preprocessor,
    num_queries=20,
    encoder=dict(num_layers=1),
    decoder=dict(num_layers=2),
    # Noise is drawn in each process, and by default as many groups as its fullest image leaves room for.
    dn_cfg=dict(
        label_noise_scale=1e-9,
        box_noise_scale=1e-9,
        group_cfg=dict(dynamic=False, num_groups=2, num_dn_queries=None),
    ),
)
_base_.pyramid.out_channels = 256
"""


def config(head, folder):
    if head == 'atss':
        cfg = Config.fromfile(ROOT / 'configs/slgnet_mini.py')
    else:
        (folder / 'dino.py').write_text(DINO.format(root=ROOT))
        cfg = Config.fromfile(folder / 'dino.py')
    words = [w for w in TINY if w.startswith('model.') and (head == 'atss' or 'score_thr' not in w)]
    values = {}
    for word in words:
        key, value = word.split('=')
        values[key] = DictAction._parse_iterable(value)
    cfg.merge_from_dict(values)
    return cfg


def awake(model):
    """Move what starts at zero, so that everything has a gradient."""
    for module in model.modules():
        for param in module.parameters(recurse=False):
            if param.requires_grad and not param.any():
                nn.init.normal_(param, std=0.1)
    return model


def part_of(batch, chosen):
    inputs = {name: value[chosen] for name, value in batch['inputs'].items()}
    return dict(inputs=inputs, data_samples=batch['data_samples'][chosen])


@pytest.fixture
def double(monkeypatch):
    """Whatever is float32 by default or on purpose is float64."""
    monkeypatch.setattr(torch.Tensor, 'float', torch.Tensor.double)
    former = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch.float64
    torch.set_default_dtype(former)


def test_two_processes_of_two_pairs_have_the_gradient_of_one_of_four(tmp_path):
    compare_gradients('atss', torch.float32, 1e-5, tmp_path)


# In float32, inputs that differ by 1e-7 move DINO's gradient by 4e-5 of its norm: rounding crosses kinks of
# its sampling. What is left here is what the head itself makes in float32.
def test_so_has_dino_in_double_precision(double, tmp_path):
    compare_gradients('dino', double, 1e-7, tmp_path)


def compare_gradients(head, dtype, tolerance, tmp_path):
    cfg = config(head, tmp_path)
    model = awake(build_detector(cfg)).to(dtype).train()
    batch = toy_batch(model, cfg, (128, 96), 4)
    # The processes divide by 8 and 10 boxes. The fullest image of both has 7: DINO fills its denoising
    # queries up to that number, and those filled in take part in self-attention.
    for number, sample in zip((1, 7, 3, 7), batch['data_samples']):
        sample.gt_instances = sample.gt_instances[:number]
    training_loss(model, batch).backward()
    expected = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()

    def job(rank):
        init_process_group('gloo')
        wrapped = MMDistributedDataParallel(model)
        losses = wrapped(**part_of(batch, slice(2 * rank, 2 * rank + 2)), mode='loss')
        model.parse_losses(losses)[0].backward()
        torch.save(
            {n: p.grad for n, p in model.named_parameters() if p.grad is not None}, tmp_path / f'{rank}.pth'
        )

    results = run_forked(job, tmp_path / 'said')
    assert [code for code, _ in results] == [0, 0], results
    grads = [torch.load(tmp_path / f'{rank}.pth') for rank in range(2)]
    assert set(expected) == {n for n, p in model.named_parameters() if p.requires_grad} == set(grads[0])
    assert all(torch.equal(grads[0][name], grads[1][name]) for name in expected)
    difference = sum((grads[0][name] - grad).square().sum() for name, grad in expected.items()).sqrt()
    assert difference <= tolerance * sum(grad.square().sum() for grad in expected.values()).sqrt()
