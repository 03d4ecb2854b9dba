"""An average that leaves frozen weights alone."""

import copy

import pytest
import torch
from mmdet.models.layers import ExpMomentumEMA
from torch import nn

from mmslg.engine.learnt_ema import LearntEMA

SETTINGS = dict(momentum=0.01, gamma=5)


def model(frozen):
    torch.manual_seed(1)
    made = nn.ModuleDict(dict(a=nn.Linear(4, 4), b=nn.BatchNorm1d(4), c=nn.Linear(4, 2)))
    for name in frozen:
        made[name].requires_grad_(False)
    return made


def train(source, averages, steps):
    learnt = [param for param in source.parameters() if param.requires_grad]
    optimizer = torch.optim.SGD(learnt, lr=0.5)
    for step in range(steps):
        out = source['c'](source['b'](source['a'](torch.randn(8, 4, generator=torch.manual_seed(step)))))
        out.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        for average in averages:
            average.update_parameters(source)


@pytest.mark.parametrize('frozen', [(), ('a',), ('a', 'b')])
def test_what_learns_is_averaged_as_before(frozen):
    source = model(frozen)
    old, new = ExpMomentumEMA(source, **SETTINGS), LearntEMA(source, **SETTINGS)
    train(source, [old, new], 7)
    for (name, value), (_, expected) in zip(new.state_dict().items(), old.state_dict().items()):
        assert torch.equal(value, expected), name
    assert not torch.equal(new.module['c'].weight, source['c'].weight)


def test_frozen_weights_are_neither_copied_nor_averaged():
    source = model(['a'])
    average = LearntEMA(source, **SETTINGS)
    own = dict(source.named_parameters())
    shared = {name for name, value in average.module.named_parameters() if value is own[name]}
    assert shared == {'a.weight', 'a.bias'}
    assert set(average.avg_parameters) == set(own) - shared
    assert not any(value.requires_grad for value in average.module.parameters())
    assert copy.deepcopy(source)['a'].weight is not source['a'].weight  # other copies are whole
