from types import SimpleNamespace

import pytest
import torch
from forked import run_forked
from helpers import TINY, iterations, write_leaf
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import IterBasedTrainLoop
from torch import nn
from torch.distributed import init_process_group

from mmslg.engine import UnfreezeHook
from mmslg.engine.checkpoints import read_checkpoint
from mmslg.errors import InputError
from mmslg.models.backbones import FrozenTrunk


class Model(nn.Module):
    def __init__(self, **trunk):
        super().__init__()
        torch.manual_seed(0)
        self.trunk = FrozenTrunk('vit_small_patch14_dinov2', depth=3, embed_dim=24, num_heads=2, **trunk)
        self.head = nn.Linear(24, 1)

    def forward(self, images):
        tokens, rope = self.trunk.embed(images)
        return self.head(self.trunk.norm(self.trunk.run_blocks(tokens, 0, 3, rope))[:, 0]).square().mean()


def runner_of(model, epoch=0, iter=0):
    return SimpleNamespace(model=model, epoch=epoch, iter=iter, train_loop=None)


def learning(model):
    return [i for i, b in enumerate(model.trunk.vit.blocks) if all(p.requires_grad for p in b.parameters())]


@pytest.mark.parametrize(
    ('trainable', 'milestones', 'by_epoch', 'expected'),
    [
        (2, [1, 2], True, [[], [2], [1, 2], [1, 2]]),
        (3, [1, 2, 3], True, [[], [2], [1, 2], [0, 1, 2]]),
        (3, [0], True, [[0, 1, 2]] * 4),
        (3, [2], False, [[], [], [0, 1, 2], [0, 1, 2]]),
    ],
)
def test_blocks_learn_from_their_milestone_on(trainable, milestones, by_epoch, expected):
    model = Model(trainable=trainable)
    hook, runner = UnfreezeHook(milestones, by_epoch), runner_of(model)
    hook.before_train(runner)
    seen = []
    for runner.epoch in range(4):
        runner.iter = runner.epoch
        hook.before_train_epoch(runner)
        hook.before_train_iter(runner, 0)
        seen.append(learning(model))
    assert seen == expected


def test_a_resumed_run_is_at_its_stage():
    model = Model(trainable=3)
    hook = UnfreezeHook([1, 5, 9])
    hook.before_train(runner_of(model, 6, 600))
    assert learning(model) == [1, 2]


@pytest.mark.parametrize('milestones', [[], [2, 1], [1, 1], [-1], ['2'], [1.5]])
def test_milestones_must_ascend(milestones):
    with pytest.raises(InputError, match='wanted ascending numbers from 0'):
        UnfreezeHook(milestones)


def test_a_trunk_that_stays_frozen_is_refused():
    with pytest.raises(InputError, match=r'set model\.backbone\.trunk\.trainable'):
        UnfreezeHook([1]).before_train(runner_of(Model()))
    with pytest.raises(InputError, match=r'no mmslg\.FrozenTrunk'):
        UnfreezeHook([1]).before_train(runner_of(nn.Linear(1, 1)))


def test_epochs_of_a_run_that_counts_iterations_are_refused():
    runner = runner_of(Model(trainable=1))
    runner.train_loop = object.__new__(IterBasedTrainLoop)
    with pytest.raises(InputError, match=r'the run counts iterations.* set by_epoch=False'):
        UnfreezeHook([1]).before_train(runner)
    UnfreezeHook([1], by_epoch=False).before_train(runner)


def train(model, wrapped, images):
    """Four steps, of which the last two with one block more and with two."""
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.5
    )
    hook, runner = UnfreezeHook([2, 3], by_epoch=False), runner_of(wrapped)
    hook.before_train(runner)
    for runner.iter in range(4):
        hook.before_train_iter(runner, 0)
        optimizer.zero_grad()
        wrapped(images).backward()
        optimizer.step()
        if runner.iter == 1:
            resting = {n: p.detach().clone() for n, p in model.trunk.named_parameters()}
    return resting, {n: p.detach().clone() for n, p in model.named_parameters()}


def test_two_processes_learn_in_the_same_stages_as_one(tmp_path):
    images = torch.randn(4, 3, 32, 32)
    start = {n: p.detach().clone() for n, p in Model(trainable=2).trunk.named_parameters()}
    model = Model(trainable=2)
    resting, expected = train(model, model, images)
    assert all(torch.equal(resting[n], start[n]) for n in start)  # no step, and no weight decay
    moved = {n for n in start if not torch.equal(expected[f'trunk.{n}'], start[n])}
    assert moved == model.trunk.learnt

    def job(rank):
        init_process_group('gloo')
        own = Model(trainable=2)
        with pytest.raises(InputError, match='find_unused_parameters=True'):
            train(own, MMDistributedDataParallel(own), images)
        own = Model(trainable=2)
        wrapped = MMDistributedDataParallel(own, find_unused_parameters=True)
        torch.save(train(own, wrapped, images[2 * rank : 2 * rank + 2])[1], tmp_path / f'{rank}.pth')

    results = run_forked(job, tmp_path / 'said')
    assert [code for code, _ in results] == [0, 0], results
    for rank in range(2):
        weights = torch.load(tmp_path / f'{rank}.pth')
        assert all((weights[n] - value).abs().max() <= 1e-5 for n, value in expected.items())


def test_a_run_in_stages(pairs, tmp_path, run_quickly):
    hook = "dict(type='mmslg.UnfreezeHook', milestones=[2], by_epoch=False)"
    leaf = write_leaf(pairs, more=f'custom_hooks = [*_base_.custom_hooks, {hook}]')
    options = [
        *TINY,
        *iterations(4),
        'default_hooks.checkpoint.interval=2',
        'default_hooks.checkpoint.max_keep_ckpts=3',
    ]
    run = run_quickly(
        'tools/train.py',
        leaf,
        '--work-dir',
        tmp_path,
        '--cfg-options',
        *options,
        'model.backbone.trunk.trainable=1',
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert 'of the trunk the last 0 of 1 trainable blocks learn' in run.stdout + run.stderr
    assert 'of the trunk the last 1 of 1 trainable blocks learn' in run.stdout + run.stderr
    half, end = (read_checkpoint(str(tmp_path / f'iter_{i}.pth'))['state_dict'] for i in (2, 4))
    trunk = [n for n in end if n.startswith('backbone.trunk.')]
    moved = {n for n in trunk if not torch.equal(half[n], end[n])}
    last = {n for n in trunk if '.blocks.1.' in n} | {n for n in trunk if '.vit.norm.' in n}
    assert moved == last
