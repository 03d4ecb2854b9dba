"""The leaves of configs/heads and configs/trunks: each changes the model alone, trains and predicts."""

import pytest
import torch
from helpers import ROOT, shipped_config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope

from mmslg.apis.profiling import box_type, build_detector, find_parts, toy_batch
from mmslg.models.modules import gpu_alone

LEAVES = sorted(
    f'{f}/{path.name}' for f in ('heads', 'trunks') for path in (ROOT / 'configs' / f).glob('*.py')
)
GPU_ALONE = {f'heads/slgnet_dronevehicle_rotated_{name}.py' for name in ('atss', 'fcos', 'rtmdet')}
ANOTHER_LOSS = dict(_delete_=True, type='GDLoss', loss_type='gwd', tau=1)
"""What docs/training.md names for them."""
OURS = ('backbone', 'neck', 'data_preprocessor')


@pytest.fixture(autouse=True)
def _scope():
    yield
    DefaultScope._instance_dict.clear()


def small(name):
    """The config with one block in the trunk, one layer in the head and few proposals, all widths kept."""
    cfg = shipped_config(name)
    model = cfg.model
    model.backbone.trunk.update(checkpoint=None, depth=1)
    model.backbone.interaction_indexes = [0]
    if 'encoder' in model:
        model.num_queries = model.test_cfg.max_per_img = 20
        model.encoder.num_layers, model.decoder.num_layers = 1, 2
        for part in (model.encoder, model.decoder):
            part.layer_cfg.ffn_cfg.feedforward_channels = 64
    elif 'rpn_head' in model:
        stages = model.roi_head.bbox_head
        for stage in stages if isinstance(stages, list) else [stages]:
            stage.fc_out_channels = 32
        for proposals in (model.train_cfg.rpn_proposal, model.test_cfg.rpn):
            proposals.update(nms_pre=50, max_per_img=30)
        model.test_cfg.rcnn.score_thr = 0.0
    else:
        model.test_cfg.update(score_thr=0.0, nms_pre=20)
    return cfg


def check_training(model, batch):
    model.train()
    losses = model.loss(batch['inputs'], batch['data_samples'])
    total, parts = model.parse_losses(losses)
    assert parts and all(value.isfinite().all() for value in parts.values())
    total.backward()
    trainable = {name: param.grad for name, param in model.named_parameters() if param.requires_grad}
    assert [name for name, grad in trainable.items() if grad is None or not grad.isfinite().all()] == []
    assert all(param.grad is None for param in model.backbone.trunk.parameters())
    model.zero_grad()


@pytest.mark.parametrize('name', LEAVES)
def test_a_leaf_is_a_few_lines_and_changes_the_model_alone(name):
    assert len((ROOT / 'configs' / name).read_text().splitlines()) <= 40
    if '_mini_' in name:
        return  # another base, of the other kind of boxes
    cfg, base = shipped_config(name), shipped_config(f'slgnet_{name.split("_")[1]}.py')
    free = {'model', 'backbone', 'lgm', 'pyramid', 'load_from', 'sync_bn'}
    assert {key for key in {*cfg, *base} if cfg.get(key) != base.get(key)} <= free
    if name.startswith('heads/'):
        changed = {key for key in OURS if cfg.model[key] != base.model[key]}
        assert changed <= {'neck'} and cfg.model.neck[0] == base.model.neck[0]


@pytest.mark.parametrize('name', [name for name in LEAVES if 'dino_coco' not in name])  # in test_configs.py
def test_a_leaf_trains_and_predicts(name):
    cfg = small(name)
    model = build_detector(cfg)
    parts = find_parts(model)
    assert parts.lgm.modulation.scale[-1].out_features == parts.trunk.embed_dims
    head = next(
        getattr(model, key) for key in ('rpn_head', 'bbox_head_init', 'bbox_head') if hasattr(model, key)
    )
    if hasattr(head, 'prior_generator'):
        strides = [stride for stride, _ in head.prior_generator.strides]
        assert [f's{stride}' for stride in strides] == list(parts.pyramid.levels)
    batch = toy_batch(model, cfg, (128, 96), 2)

    model.eval()
    with torch.no_grad():
        found = model.predict(batch['inputs'], batch['data_samples'])
    assert len(found) == 2
    for each in found:
        boxes = each.pred_instances.bboxes
        boxes = boxes if isinstance(boxes, torch.Tensor) else boxes.tensor
        assert len(boxes) and boxes.shape[1] == (4 if box_type(cfg) == 'hbox' else 5)
        assert boxes.isfinite().all() and each.pred_instances.scores.isfinite().all()
        assert each.pred_instances.labels.max() < len(cfg.train_dataloader.dataset.metainfo.classes)

    lacking = gpu_alone(model)
    assert bool(lacking) == (name in GPU_ALONE)
    if lacking and not torch.cuda.is_available():
        pytest.skip(f'{name}: no loss and backward, since mmcv has no {lacking[0][1]} for CPUs')
    if lacking:
        model = model.cuda()
    check_training(model, toy_batch(model, cfg, (128, 96), 2))  # predicting makes tensors of its boxes


@pytest.mark.parametrize('name', sorted(GPU_ALONE))
def test_what_wants_a_gpu_trains_on_a_cpu_with_another_loss(name):
    cfg = small(name)
    loss = build_detector(cfg).bbox_head.loss_bbox
    boxes = torch.tensor([[10.0, 10, 8, 4, 0.3]])
    with pytest.raises(
        RuntimeError, match='diff_iou_rotated_sort_vertices_forward_impl: implementation for device cpu not'
    ):
        loss(boxes, boxes + 1)
    cfg.merge_from_dict({f'model.bbox_head.loss_bbox.{key}': value for key, value in ANOTHER_LOSS.items()})
    model = build_detector(cfg)
    assert not gpu_alone(model)
    check_training(model, toy_batch(model, cfg, (128, 96), 2))


def differences(mine, stock, path=''):
    """Dotted names of what two trees of settings do not share."""
    if isinstance(mine, dict) and isinstance(stock, dict):
        for key in {*mine, *stock}:
            yield from differences(mine.get(key), stock.get(key), f'{path}.{key}'.lstrip('.'))
    elif (list(mine) != list(stock)) if isinstance(mine, (list, tuple)) else (mine != stock):
        yield path


@pytest.mark.parametrize(
    ('name', 'stock', 'departures'),
    [
        ('slgnet_flir.py', 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py', {
            'bbox_head.num_classes', 'num_feature_levels',  # 4, its default
        }),
        ('slgnet_dronevehicle.py', 'mmrotate::oriented_rcnn/oriented-rcnn-le90_r50_fpn_1x_dota.py', {
            'roi_head.bbox_head.num_classes', 'train_cfg.rpn.allowed_border',
        }),
    ],
)  # fmt: skip
def test_the_public_heads_are_what_ships(name, stock, departures):
    mine, theirs = shipped_config(name).model, get_config(stock).model
    for model in (mine, theirs):
        for key in OURS:
            model.pop(key)
    assert set(differences(mine, theirs)) == departures
