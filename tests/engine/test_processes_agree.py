"""Two processes with half of a batch each learn what one learns from the whole."""

import torch
from forked import run_forked
from helpers import ROOT, TINY
from mmengine.dist import is_distributed
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper

from mmslg.apis.configs import read_config
from mmslg.apis.launch import parse_options
from mmslg.apis.profiling import build_detector, toy_data


def gradients(model, data):
    """Gradients of the loss of a batch, by name, as training leaves them."""
    bare, data = model, model.data_preprocessor(data, True)
    if is_distributed():
        model = MMDistributedDataParallel(model, broadcast_buffers=False)
    loss = bare.parse_losses(model(data['inputs'], data['data_samples'], mode='loss'))[0]
    OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1)).backward(loss)
    return {
        name.removeprefix('module.'): param.grad
        for name, param in model.named_parameters()
        if param.requires_grad
    }


def test_two_halves_are_one_batch(tmp_path):
    cfg = read_config(str(ROOT / 'configs/slgnet_mini.py'), parse_options(TINY))
    torch.manual_seed(0)
    model = build_detector(cfg).train()
    for param in model.parameters():
        if param.requires_grad and not param.any():
            torch.nn.init.normal_(param, std=0.1)  # so that all of it takes part
    data = toy_data(cfg, (96, 64), 4, 512)
    for number, sample in zip((1, 9, 2, 4), data['data_samples']):  # a loss is divided by what is found
        sample.gt_instances = sample.gt_instances[:number]

    def job(rank):
        torch.distributed.init_process_group('gloo')
        half = slice(2 * rank, 2 * rank + 2)
        mine = dict(
            inputs={name: values[half] for name, values in data['inputs'].items()},
            data_samples=data['data_samples'][half],
        )
        torch.save(gradients(model, mine), tmp_path / f'{rank}.pth')

    results = run_forked(job, tmp_path / 'out')
    assert [code for code, _ in results] == [0, 0], results
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in (0, 1))
    whole = gradients(model, data)
    assert first.keys() == second.keys() == whole.keys() and len(whole) > 50
    for name, gradient in whole.items():
        assert torch.equal(first[name], second[name]), name
        assert gradient.any(), name
        assert (first[name] - gradient).abs().max() <= 1e-5 * max(1, gradient.abs().max()), name
