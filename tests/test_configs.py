"""The contract of every config: it builds, trains a step, predicts, and its data pipeline feeds it."""

import pytest
import torch
from helpers import ROOT, shipped_config
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope, init_default_scope
from mmengine.utils import import_modules_from_strings

from mmslg.apis.profiling import build_detector, toy_batch, training_loss
from mmslg.datasets.paired_coco import list_steps

CONFIGS = sorted(
    str(p.relative_to(ROOT / 'configs')) for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts
)
PUBLIC = {
    'slgnet_flir.py',
    'slgnet_llvip.py',
    'slgnet_kaist.py',
    'slgnet_dronevehicle.py',
    'slgnet_m3fd.py',
    'slgnet_mini.py',
    'slgnet_mini_oriented.py',
    'my_pairs.py',
}
DATA_ABLATIONS = ('shuffled_captions', 'constant_caption', 'no_captions', 'class_names', 'free_form')
DATA_ABLATIONS += ('modality_dropout',)
ALIKE = {
    'slgnet_flir_100e.py': 'slgnet_flir.py',
    'slgnet_llvip_full.py': 'slgnet_llvip.py',
    'heads/slgnet_flir_dino_coco.py': 'slgnet_flir.py',
    'ablations/slgnet_mini_augmented.py': 'slgnet_mini.py',
    **{name: name.replace('_fast', '') for name in CONFIGS if name.endswith('_fast.py')},
    **{
        f'ablations/slgnet_{size}_{name}.py': f'slgnet_{size}.py'
        for size in ('flir', 'mini')
        for name in DATA_ABLATIONS
    },
    'ablations/slgnet_flir_token_captions.py': 'slgnet_flir.py',
    'ablations/slgnet_mini_oracle_captions.py': 'slgnet_mini.py',
}
"""Configs that differ from another one in data and schedule alone."""
ENCODERS = {
    f'ablations/slgnet_{name}_captions.py' for name in ('flir_bert', 'mini_minilm', 'mini_oracle_minilm')
}
TWINS = {
    name
    for name in CONFIGS
    if '_flir_' in name and name.replace('_flir_', '_mini_') in CONFIGS and 'finetuning' not in name
}
"""Their miniatures are tried; test_ablations.py holds both to the same change."""
OTHER_CLASSES = {'slgnet_kaist.py', 'slgnet_llvip.py', 'slgnet_m3fd.py'}
"""The model of slgnet_flir.py for so many classes as the dataset has."""
LEAVES = {name for name in CONFIGS if name.startswith(('heads/', 'trunks/'))}
"""Other heads and trunks: test_heads.py."""
MODELS_OF_THEIR_OWN = [
    name for name in CONFIGS if name not in {*ALIKE, *TWINS, *ENCODERS, *LEAVES, *OTHER_CLASSES}
]


WHOLE = {'slgnet_flir.py', 'slgnet_mini.py'}
"""At least one of each size is tried as it is; DINO wants 900 places."""


def load(name, pairs):
    """The config on a folder of drawn pairs, with random weights in the trunk."""
    cfg = shipped_config(name)
    cfg.model.backbone.trunk.checkpoint = None
    if name not in WHOLE:
        depth = cfg.model.backbone.trunk.depth = 4 if 'flir' in name else 2  # whole models take their time
        if cfg.model.backbone.get('interaction_indexes'):
            cfg.model.backbone.interaction_indexes = range(depth)
    paper_size = cfg.backbone.trunk.name == 'vit_base_patch14_dinov2'
    small = paper_size and name not in WHOLE
    if small:
        cfg.model.backbone.trunk.pop('drop_path_rate', None)  # it takes gradients away at random
        if cfg.model.type == 'DINO':
            cfg.model.num_queries = cfg.model.test_cfg.max_per_img = 100
            cfg.model.encoder.num_layers = cfg.model.decoder.num_layers = 1
        else:
            cfg.model.roi_head.bbox_head.fc_out_channels = 64
            for proposals in (cfg.model.train_cfg.rpn_proposal, cfg.model.test_cfg.rpn):
                proposals.update(nms_pre=100, max_per_img=50)
    cfg.test_dataloader.dataset.ann_file = 'annotations_test.json'  # that of M3FD is annotations_val.json
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(pairs)
        loader.dataset.metainfo.classes = ('person', 'car', 'bicycle')[: len(loader.dataset.metainfo.classes)]
        loader.dataset.pipeline.resize.scale = (256, 208) if name in WHOLE else (160, 128)
    cfg.train_dataloader.dataset.pipeline.update(crop=None)  # the same here
    cfg.train_dataloader.dataset.pipeline.resize.ratio_range = (1.0, 1.0)
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


@pytest.mark.parametrize('name', ALIKE)
def test_a_config_of_another_recipe_has_the_same_model(name):
    cfg, base = (shipped_config(each) for each in (name, ALIKE[name]))
    assert cfg.model == base.model and cfg.data_preprocessor == base.data_preprocessor


@pytest.mark.parametrize('name', sorted(OTHER_CLASSES))
def test_a_dataset_has_the_same_model_for_its_classes(name, pairs):
    cfg, base = shipped_config(name), shipped_config('slgnet_flir.py')
    base.model.bbox_head.num_classes = len(cfg.train_dataloader.dataset.metainfo.classes)
    assert cfg.model == base.model
    cfg = load(name, pairs)
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        data = batch(loader.dataset, 3)
        assert [each.shape for each in data['inputs']['img']] == [(4, 107, 160)] * 3
        assert [each.shape for each in data['inputs']['text']] == [(4, 512)] * 3
        assert sum(len(sample.gt_instances) for sample in data['data_samples']) > 0


@pytest.mark.parametrize('name', sorted(ENCODERS))
def test_other_text_encoders_have_texts_of_their_width(name, pairs):
    cfg = load(name, pairs)
    width = cfg.model.neck[0].text_dims
    assert width != 512
    model = build_detector(cfg)
    batch = toy_batch(model, cfg, (160, 128), 1)
    assert batch['inputs']['text'].shape == (1, 4, width)
    loss = training_loss(model, batch)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad and p.grad is not None)
    model.eval()
    batch = toy_batch(model, cfg, (160, 128), 1, training=False)
    assert len(model.predict(batch['inputs'], batch['data_samples'])) == 1


@pytest.mark.parametrize('name', CONFIGS)
def test_runs_are_repeatable(name):
    assert shipped_config(name).randomness.seed == 0


@pytest.mark.parametrize(
    ('name', 'size', 'least'),
    [
        ('flir', (1000, 800), 0.6),
        ('kaist', (1000, 800), 0.6),
        ('llvip', (1000, 800), 0.6),
        ('llvip_full', (1280, 1024), 0.6),
        ('m3fd', (1067, 800), 0.6),
        ('dronevehicle', (640, 512), 0.8),
        *((f'{each}_fast', (640, 512), 1.0) for each in ('flir', 'kaist', 'llvip', 'm3fd', 'dronevehicle')),
        ('mini', (320, 256), 1.0),
    ],
)
def test_sizes(name, size, least):
    cfg = shipped_config(f'slgnet_{name}.py')
    pipelines = [cfg[f'{split}_dataloader'].dataset.pipeline for split in ('train', 'val', 'test')]
    assert [pipeline.resize.scale for pipeline in pipelines] == [size] * 3
    steps = list_steps(pipelines[0])
    assert pipelines[0].resize.ratio_range[0] == least
    assert any('Photo' in step['type'] for step in steps) == (least < 1)


@pytest.mark.parametrize(
    'name',
    [pytest.param(n, marks=pytest.mark.slow) if n == 'slgnet_flir.py' else n for n in MODELS_OF_THEIR_OWN],
)
def test_config(name, pairs):
    if 'lora' in name:
        pytest.importorskip('peft')
    cfg = load(name, pairs)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    trunk = {k: v.clone() for k, v in model.backbone.trunk.state_dict().items()}

    model.train()
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trainable.values(), lr=1e-3)
    paper_size = cfg.backbone.trunk.name == 'vit_base_patch14_dinov2'
    data = batch(cfg.train_dataloader.dataset, 1 if paper_size else 2)  # one pair there, for the time
    steps = 3  # gamma, then the offsets, then all: zeros at the start bar the way for two steps
    if paper_size and name in WHOLE:  # a step takes seconds: here what starts at zero is moved by hand
        steps = 1
        for parameter in trainable.values():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        losses, _ = model.parse_losses(model(**model.data_preprocessor(data, True), mode='loss'))
        losses.backward()
        optimizer.step()
    assert torch.isfinite(losses)
    assert [n for n, p in trainable.items() if p.grad is None] == []
    language = ('neck.0.',) if cfg.model.neck[0].type == 'mmslg.LanguageGuidedModulation' else ()
    ours = {n: p for n, p in trainable.items() if n.startswith(('backbone.', *language))}
    assert [(n, p.grad.abs().max().item()) for n, p in ours.items() if not p.grad.abs().max() > 0] == []
    learnt = model.backbone.trunk.learnt  # nothing, but in the ablations of the trunk
    assert learnt == {n for n, p in model.backbone.trunk.named_parameters() if p.requires_grad}
    assert bool(learnt) == name.endswith(('full_finetuning.py', 'last4.py', 'lora.py'))
    trunk_params = dict(model.backbone.trunk.named_parameters())
    assert all(p.grad is None for n, p in trunk_params.items() if n not in learnt)
    assert all(
        torch.equal(v, trunk[k]) != (k in learnt) for k, v in model.backbone.trunk.state_dict().items()
    )

    model.eval()
    with torch.no_grad():
        results = model(**model.data_preprocessor(batch(cfg.test_dataloader.dataset), False), mode='predict')
    assert len(results) == 2
    width = 5 if 'oriented' in name or 'dronevehicle' in name else 4
    for found in (result.pred_instances for result in results):
        bboxes = found.bboxes.tensor if hasattr(found.bboxes, 'tensor') else found.bboxes
        assert bboxes.shape[-1] == width
        assert torch.isfinite(bboxes).all() and torch.isfinite(found.scores).all()


@pytest.mark.parametrize('name', CONFIGS)
def test_no_config_subclasses_a_detector_or_imports_code(name):
    cfg = shipped_config(name)
    assert not cfg.model.type.startswith('mmslg.')
    assert 'custom_imports' not in cfg


def test_the_dumped_config_says_the_same(tmp_path):
    """MMEngine sorts the keys when it dumps a config; the steps of the pipelines keep their order."""
    seen = set()
    for name in CONFIGS:
        cfg = shipped_config(name)
        steps = [list_steps(cfg[f'{part}_dataloader'].dataset.pipeline) for part in ('train', 'val', 'test')]
        for each in steps:
            assert each[0]['type'] == 'mmslg.LoadVisible' and each[-1]['type'] == 'mmslg.PackPairedInputs'
        if str(steps) in seen:
            continue  # those of the same pipelines dump alike
        seen.add(str(steps))
        cfg.dump(tmp_path / 'dumped.py')
        dumped = Config.fromfile(tmp_path / 'dumped.py')
        assert dumped.model == cfg.model, name
        for part, expected in zip(('train', 'val', 'test'), steps):
            assert list_steps(dumped[f'{part}_dataloader'].dataset.pipeline) == expected, name
    assert len(seen) >= 8


@pytest.mark.parametrize('name', sorted(PUBLIC))
def test_nothing_is_selected_on_the_test_split(name):
    """No config saves a best checkpoint; DroneVehicle, which has a validation split, validates on it."""
    cfg = shipped_config(name)
    assert 'save_best' not in cfg.default_hooks.checkpoint
    if name == 'slgnet_dronevehicle.py':
        files = [cfg[f'{part}_dataloader'].dataset.ann_file for part in ('train', 'val', 'test')]
        assert files == ['annotations_train.json', 'annotations_val.json', 'annotations_test.json']


@pytest.mark.parametrize(
    ('name', 'metric', 'schedule', 'classes'),
    [
        ('flir', 'mmslg.PairedCocoMetric', 'MultiStepLR', 3),
        ('llvip', 'mmslg.PairedCocoMetric', 'MultiStepLR', 1),
        ('kaist', 'mmslg.KAISTMissRateMetric', 'CosineAnnealingLR', 1),
        ('dronevehicle', 'mmslg.OrientedAPMetric', 'CosineAnnealingLR', 5),
    ],
)
def test_the_recipe(name, metric, schedule, classes):
    cfg = shipped_config(f'slgnet_{name}.py')
    assert cfg.test_evaluator.type == metric and cfg.param_scheduler[1].type == schedule
    head = cfg.model.bbox_head if 'bbox_head' in cfg.model else cfg.model.roi_head.bbox_head
    assert head.num_classes == len(cfg.train_dataloader.dataset.metainfo.classes) == classes
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 1e-4, 0.1)
    assert cfg.optim_wrapper.paramwise_cfg.decay_rate == 0.7 and cfg.optim_wrapper.clip_grad.max_norm == 1.0
    assert cfg.train_cfg.max_epochs == 50 and cfg.train_dataloader.batch_size == 1
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=8)
