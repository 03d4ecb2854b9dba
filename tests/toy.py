"""A model, a dataset and a metric of nothing, to try the launch of a run within a second."""

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS

CONFIG = """
custom_imports = dict(imports='toy')
default_scope = 'mmengine'
model = dict(type='ToyModel', width=4)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='ToyData', metainfo=dict(classes=('person', 'car'))),
)
val_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ToyData', metainfo=dict(classes=('person', 'car'))),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ToyMetric')
test_evaluator = val_evaluator
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    checkpoint=dict(type='mmslg.CheckpointHook', by_epoch=False, interval=2, max_keep_ckpts=1),
    logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
    precision=dict(type='mmslg.PrecisionHook'),
)
custom_hooks = [dict(type='mmslg.CheckpointReportHook'), dict(type='mmslg.RunReportHook')]
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
load_from = None
resume = False
"""


def write_toy(folder, changes=''):
    """Write the config and, on top of it, one with changes; return the path of the latter."""
    (folder / 'toy_base.py').write_text(CONFIG)
    file = folder / 'toy_config.py'
    file.write_text(f"_base_ = 'toy_base.py'\n{changes}")
    return str(file)


def failed(result, message):
    """Exit code 1, no traceback, and the last line of stderr says it."""
    code, out, err = result
    assert code == 1, out[-2000:] + err[-2000:]
    assert 'Traceback' not in out + err
    last = err.strip().splitlines()[-1]
    assert last.startswith('error: ') and message in last, last


def done(result):
    """Exit code 0; returns all that was written."""
    code, out, err = result
    assert code == 0, out[-2000:] + err[-2000:]
    return out + err


@MODELS.register_module(force=True)
class ToyModel(BaseModel):
    """Learns one layer of ``width`` weights."""

    def __init__(self, width, bug=False, loss='out.square().mean()'):
        super().__init__()
        self.loss = loss
        assert width < 10**6
        if bug:
            len(3)
        self.layer = torch.nn.Linear(width, 1)

    def forward(self, inputs, mode='tensor'):
        out = self.layer(torch.stack(inputs).expand(-1, self.layer.in_features))
        return {'loss': eval(self.loss)} if mode == 'loss' else [dict(value=value) for value in out]


@DATASETS.register_module(force=True)
class ToyData:
    """Eight numbers."""

    def __init__(self, metainfo):
        self.metainfo = dict(metainfo)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return dict(inputs=torch.tensor([float(index)]))


@METRICS.register_module(force=True)
class ToyMetric(BaseMetric):
    """Counts what it is given."""

    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return dict(count=len(results))
