"""run.json and the ten lines, and the rates that they tell of."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from toy import done, write_toy

from mmslg.engine.run_facts import ROOT, git_state, versions

DIGEST = re.compile(r'[0-9a-f]{64}')


def starts_in(folder):
    return json.loads((Path(folder) / 'run.json').read_text())['starts']


@pytest.mark.skipif(torch.cuda.is_available(), reason='the literal device is a CPU')
def test_a_run_says_what_it_is(run_train, toy_config, tmp_path, monkeypatch):
    monkeypatch.setenv('GIT_CEILING_DIRECTORIES', str(tmp_path.parent))
    run = [toy_config, '--work-dir', tmp_path / 'run']
    log = done(run_train(*run))
    (start,) = starts_in(tmp_path / 'run')
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}', start.pop('time'))
    assert start.pop('command') == f'{ROOT}/tools/train.py {toy_config} --work-dir {tmp_path}/run'
    settings = start['config'].pop('settings_sha256')
    assert DIGEST.fullmatch(settings)
    threads = start['device'].pop('threads')
    assert threads == torch.get_num_threads()
    name = start['device']['name']
    assert name.startswith('CPU (')
    assert start == dict(
        config=dict(
            file=toy_config, sha256=hashlib.sha256(Path(toy_config).read_bytes()).hexdigest(), git=None
        ),
        code=git_state(ROOT),
        seed=0,
        batch=dict(effective=2, a_process=2, processes=1, accumulated=1, recipe=None, scaled=False),
        length=dict(iterations=4, epochs=1.0, samples=8),
        optimizer=dict(type='SGD', groups=[dict(lr=0.1, weight_decay=0, tensors=2, parameters=5)]),
        parameters=dict(layer=dict(trainable=5, frozen=0)),
        weights=dict(trunk=[], trunk_sha256=[], checkpoint=None, resumed_at=None),
        data=dict(files={}, manifests={}),
        protocols=['ToyMetric'],
        precision=dict(trunk=[], amp=None, tf32=start['precision']['tf32'], compiled=False,
                       words=start['precision']['words']),
        device=dict(name=name),
        versions=versions(),
    )  # fmt: skip
    lines = log[log.index('this run:\n') :].splitlines()[1:11]
    code = git_state(ROOT)
    code = f'commit {code["commit"][:8]}{" with changes" * code["changed"]}' if code else 'no git'
    assert lines[:7] == [
        f'  run: {toy_config} (no git), mmslg {code}; seed 0; start 1 in {tmp_path}/run/run.json',
        '  effective batch 2 = 2 a process x 1 processes x 1 accumulated; learning rates 0.1',
        '  length: 4 iterations, 1 epochs of 8 pairs',
        '  optimizer: SGD, 1 groups; parameters by rate/decay: 0.1/0: 5',
        '  parameters: 5 trainable (layer 5); 0 frozen',
        '  weights: no checkpoint',
        '  data: no files',
    ]
    assert lines[7] == '  figures: ToyMetric'
    assert lines[8] == f'  precision: {start["precision"]["words"]}; on 1 x {name}'
    assert lines[9].startswith('  versions: python ') and 'mmslg ' in lines[9]

    more = ['--resume', '--cfg-options', 'train_cfg.max_iters=6']
    log = done(run_train(*run, *more))
    first, second = starts_in(tmp_path / 'run')
    assert first['length']['iterations'] == 4 and second['length']['iterations'] == 6
    found = f'checkpoint {tmp_path}/run/iter_4.pth: 2 of 2 tensors match'
    assert second['weights']['checkpoint'].startswith(found) and second['weights']['resumed_at'] == 4
    assert f'weights: {found}' in log and 'start 2 in' in log
    assert second['command'].endswith('--resume --cfg-options train_cfg.max_iters=6')
    assert second['config']['settings_sha256'] != settings


def test_rates_scale_with_the_effective_batch_in_all_groups(run_train, tmp_path):
    """Batch 2, 4 times accumulated, where the recipe has 2: four times the rate of each group."""
    changes = (
        'optim_wrapper = dict(accumulative_counts=4, paramwise_cfg=dict(bias_lr_mult=2.0))\n'
        'auto_scale_lr = dict(enable=False, base_batch_size=2)\n'
    )
    config = write_toy(tmp_path, changes)
    log = done(run_train(config, '--work-dir', tmp_path / 'plain'))
    assert 'effective batch 8 = 2 a process x 1 processes x 4 accumulated; learning rates 0.1, 0.2; ' in log
    assert "NOTE: the recipe's learning rate is for batch 2, and nothing was scaled" in log
    log = done(run_train(config, '--work-dir', tmp_path / 'scaled', '--auto-scale-lr'))
    assert "learning rates 0.4, 0.8; scaled from the recipe's batch 2" in log
    assert 'learning rates x 4: effective batch 8, the recipe has 2' in log
    (plain,), (scaled,) = starts_in(tmp_path / 'plain'), starts_in(tmp_path / 'scaled')
    rates = [[group['lr'] for group in start['optimizer']['groups']] for start in (plain, scaled)]
    assert sorted(rates[0]) == [0.1, 0.2] and rates[1] == [4 * rate for rate in rates[0]]
    assert [start['batch']['scaled'] for start in (plain, scaled)] == [False, True]
