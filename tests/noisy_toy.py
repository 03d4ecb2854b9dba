"""A toy run in which everything draws random numbers: samples, the model, validation."""

import random

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from toy import write_toy

CHANGES = """
custom_imports = dict(imports=['toy', 'noisy_toy'])
model = dict(_delete_=True, type='NoisyModel')
_data = dict(_delete_=True, type='NoisyData', metainfo=dict(classes=('person', 'car')))
train_dataloader = dict(dataset=_data, batch_sampler=dict(type='mmdet.AspectRatioBatchSampler'))
val_dataloader = dict(dataset=_data)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=0.01))
_ema = dict(type='EMAHook', ema_type='mmslg.LearntEMA', momentum=0.1, gamma=5)
custom_hooks = [dict(type='mmslg.CheckpointReportHook'), _ema]
env_cfg = dict(cudnn_benchmark=False)
"""

ITERATIONS = """
train_cfg = dict(max_iters=9, val_interval=3)
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=2))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=9, eta_min=1e-4)]
"""

EPOCHS = """
train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=2, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=2, by_epoch=%s))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=2, eta_min=1e-4, convert_to_iter_based=True),
]
"""

INFINITE = ITERATIONS + "train_dataloader['sampler'] = dict(type='InfiniteSampler', _delete_=True)\n"

RUNS = {
    'iterations': ITERATIONS,
    'infinite': INFINITE,
    'epochs': EPOCHS % True,
    'within_epochs': EPOCHS % False,
}
"""What is changed, by the kind of the run. A pass has six steps, or three of two processes."""


def write_noisy(folder, kind, more=''):
    """Write the config of a run of RUNS; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_toy(folder, CHANGES + RUNS[kind] + more)


@MODELS.register_module(force=True)
class NoisyModel(BaseModel):
    """A frozen layer and one that learns, dropout between, and noise from all generators on what comes in."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1)
        )
        self.layers[0].requires_grad_(False)

    def forward(self, inputs, mode='tensor'):
        out = self.layers(torch.stack(inputs) + torch.randn(3) + random.random() + np.random.rand())
        return {'loss': out.square().mean()} if mode == 'loss' else [dict(value=value) for value in out]


@DATASETS.register_module(force=True)
class NoisyData:
    """Twelve numbers with noise, some of them wide and some high."""

    def __init__(self, metainfo):
        self.metainfo = dict(metainfo)

    def __len__(self):
        return 12

    def get_data_info(self, index):
        return dict(width=1 + index % 2, height=2 - index % 2)

    def __getitem__(self, index):
        noise = [random.random(), float(np.random.rand()), float(torch.rand(()))]
        return dict(inputs=torch.tensor(noise) + index)
