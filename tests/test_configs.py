"""The contract of every config: it builds, trains a step, predicts, and its data pipeline feeds it."""

import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope, init_default_scope
from mmengine.utils import import_modules_from_strings

CONFIGS = sorted(
    str(p.relative_to(ROOT / 'configs')) for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts
)
PUBLIC = {'slgnet_flir.py', 'slgnet_mini.py'}


def load(name, pairs):
    """The config on a folder of drawn pairs, with random weights in the trunk."""
    cfg = Config.fromfile(ROOT / 'configs' / name)
    cfg.model.backbone.trunk.checkpoint = None
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(pairs)
        for step in loader.dataset.pipeline:
            if step['type'] == 'mmslg.LoadCaptionEmbedding':
                step['store'] = str(pairs / 'captions.safetensors')
            if step['type'] == 'mmdet.Resize':
                step['scale'] = (320, 256)  # DINO wants 900 places to ask
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.fixture(autouse=True)
def _scope():
    import_modules_from_strings(['mmdet.models', 'mmdet.datasets'])
    yield
    DefaultScope._instance_dict.clear()


def batch(dataset_cfg, num=2):
    dataset = DATASETS.build(dataset_cfg)
    return pseudo_collate([dataset[i] for i in range(num)])


def test_the_public_configs_are_there():
    assert set(CONFIGS) >= PUBLIC


@pytest.mark.parametrize('name', CONFIGS)
def test_config(name, pairs):
    cfg = load(name, pairs)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    trunk = {k: v.clone() for k, v in model.backbone.trunk.state_dict().items()}

    model.train()
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trainable.values(), lr=1e-3)
    data = batch(cfg.train_dataloader.dataset)
    for _ in range(3):  # gamma, then the offsets, then all: zeros at the start bar the way for two steps
        optimizer.zero_grad()
        losses, _ = model.parse_losses(model(**model.data_preprocessor(data, True), mode='loss'))
        losses.backward()
        optimizer.step()
    assert torch.isfinite(losses)
    assert [n for n, p in trainable.items() if p.grad is None] == []
    ours = {n: p for n, p in trainable.items() if n.startswith(('backbone.', 'neck.0.'))}
    assert [(n, p.grad.abs().max().item()) for n, p in ours.items() if not p.grad.abs().max() > 0] == []
    assert all(p.grad is None for n, p in model.named_parameters() if n.startswith('backbone.trunk.'))
    assert all(torch.equal(v, trunk[k]) for k, v in model.backbone.trunk.state_dict().items())

    model.eval()
    with torch.no_grad():
        results = model(**model.data_preprocessor(batch(cfg.test_dataloader.dataset), False), mode='predict')
    assert len(results) == 2
    width = 5 if 'oriented' in name else 4
    bboxes = results[0].pred_instances.bboxes
    assert (bboxes.tensor if hasattr(bboxes, 'tensor') else bboxes).shape[-1] == width


@pytest.mark.parametrize('name', CONFIGS)
def test_no_config_subclasses_a_detector_or_imports_code(name):
    cfg = Config.fromfile(ROOT / 'configs' / name)
    assert not cfg.model.type.startswith('mmslg.')
    assert 'custom_imports' not in cfg
