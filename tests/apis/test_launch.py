"""What the machine lacks, and what is said about it."""

import pytest
import torch
from mmcv import ops
from mmengine.config import Config

from mmslg.apis.launch import fit_to_machine, missing_cuda_ops


@pytest.mark.parametrize(('gpu', 'compiled', 'said'), [
    (True, 'not available', True),
    (True, '12.8', False),
    (False, 'not available', False),
])  # fmt: skip
def test_mmcv_without_cuda_where_there_is_a_gpu(monkeypatch, gpu, compiled, said):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    monkeypatch.setattr(ops, 'get_compiling_cuda_version', lambda: compiled)
    line = missing_cuda_ops()
    assert bool(line) == said
    if said:
        assert 'mmcv was built without CUDA' in line and 'rebuild mmcv' in line and 'tools/install.sh' in line


@pytest.mark.parametrize('gpu', [True, False])
def test_amp_without_a_gpu_is_fp32(monkeypatch, capsys, gpu):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16', optimizer=dict(type='SGD'))
    cfg = Config(dict(optim_wrapper=wrapper, launcher='pytorch'))
    fit_to_machine(cfg)
    assert cfg.optim_wrapper.type == ('AmpOptimWrapper' if gpu else 'OptimWrapper')
    assert ('loss_scale' in cfg.optim_wrapper) == ('dtype' in cfg.optim_wrapper) == gpu
    assert ('no GPU here: fp32 in the place of AMP' in capsys.readouterr().out) == (not gpu)
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(('gpu', 'launcher'), [(True, 'pytorch'), (False, 'pytorch'), (False, 'none')])
def test_batch_norm_is_not_synchronised_between_cpus(monkeypatch, capsys, gpu, launcher):
    """torch synchronises it on GPUs alone, and fails elsewhere; one process has nothing to synchronise."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    cfg = Config(dict(sync_bn='torch', launcher=launcher))
    fit_to_machine(cfg)
    gone = not gpu and launcher != 'none'
    assert (cfg.sync_bn is None) == gone
    assert ('no GPU here: batch norm of each process by itself' in capsys.readouterr().out) == gone
