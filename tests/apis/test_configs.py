"""What a config or an override says wrong: one line that names the file and the setting."""

import pytest
from mmengine.config import Config

from mmslg.apis.configs import check_config, read_config
from mmslg.apis.launch import parse_options
from mmslg.errors import InputError

CONFIG = """
model = dict(
    type='ATSS',
    backbone=dict(type='mmslg.SLGViT', trunk=dict(name='vit')),
    bbox_head=dict(type='ATSSHead', num_classes=2),
    test_cfg=dict(score_thr=0.05),
)
_data = dict(
    type='mmslg.PairedCocoDataset',
    metainfo=dict(classes=('person', 'car')),
    pipeline=dict(resize=dict(type='mmdet.Resize', scale=(96, 64))),
)
train_dataloader = dict(batch_size=2, dataset=_data)
val_dataloader = dict(batch_size=1, dataset=dict(type='RepeatDataset', times=2, dataset=_data))
test_dataloader = dict(batch_size=1, dataset=dict(type='ConcatDataset', datasets=[_data, _data]))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4)
custom_hooks = [dict(type='mmslg.RunReportHook')]
load_from = None
max_iters = 4
"""


@pytest.fixture
def config(tmp_path):
    file = tmp_path / 'config.py'
    file.write_text(CONFIG)
    return file


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('model = dict(\n', r"line 1: '\(' was never closed"),
        ('x = 1\nx = = 2\n', r'line 2: invalid syntax'),
        ('\ufeffmodel = dict()\n', 'it starts with a byte-order mark; save it as UTF-8 without one'),
        ("_base_ = 'nowhere.py'\n", r'nowhere\.py'),
        ('model = dict(type=nothing)\n', "NameError: name 'nothing' is not defined"),
        ('_base_ = []\nx = _base_.model\n', 'the config cannot be read: '),
        ("_base_ = 'broken.py'\n", 'RecursionError|cannot be read'),
        ("custom_imports = dict(imports='no_such_module')\nmodel = dict()\n", 'cannot be read: ImportError'),
        ('trian_dataloader = dict()\n', 'no setting trian_dataloader; did you mean train_dataloader?'),
        ('load_form = None\n', 'no setting load_form; did you mean load_from?'),
        ('default_hook = dict()\n', 'no setting default_hook; did you mean default_hooks?'),
    ],
)
def test_a_config_that_cannot_be_read(tmp_path, text, message):
    file = tmp_path / 'broken.py'
    file.write_text(text, encoding='utf-8')
    with pytest.raises(InputError, match=message) as caught:
        read_config(str(file))
    assert str(caught.value).startswith(f'{file}: ') and '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('content', 'name', 'message'),
    [(b'\xff\xfe\x00m', 'a.py', 'cannot be read'), (b'model = 1', 'a.txt', 'Only py/yml/yaml/json')],
)
def test_a_file_that_is_no_config(tmp_path, content, name, message):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_config(str(file))


def test_variables_of_ones_own_are_left_alone(config):
    config.write_text(CONFIG + "scale = (640, 512)\ntrain_pipeline = []\ndata_root = 'x'\n")
    check_config(read_config(str(config)))


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        (
            'trian_dataloader.batch_size=64',
            'no trian_dataloader in the config; did you mean train_dataloader?',
        ),
        ('modelx.type=X', 'no modelx in the config; did you mean model?'),
        (
            'nothing_like_it=1',
            'no nothing_like_it in the config; it has activation_checkpointing, auto_scale_lr',
        ),
        ('model.test_cfg.score_th=0.1', 'no score_th in model.test_cfg; did you mean score_thr?'),
        (
            'train_dataloader.dataset.pipeline.resise.scale=(96,64)',
            'no resise in train_dataloader.dataset.pipeline; did you mean resize?',
        ),
        ('custom_hooks.1.type=X', 'custom_hooks is a list of 1, wanted 0 or higher, got 1'),
        ('custom_hooks.first.type=X', 'custom_hooks is a list of 1, wanted 0 or higher, got first'),
        ('_data.x=1', '_data is a variable of the config, which has been read; override the settings that'),
        ('max_iters=9', 'max_iters is a variable of the config.*; override train_cfg.max_iters'),
        ('train_dataloader.batch_size.x=1', 'train_dataloader.batch_size is 2 and has no x'),
    ],
)
def test_an_override_that_nobody_would_read(config, option, message):
    with pytest.raises(InputError, match=message) as caught:
        read_config(str(config), parse_options([option]))
    assert str(caught.value).startswith(f'{config}: --cfg-options {option.split("=")[0]}: ')


@pytest.mark.parametrize(
    'option',
    [
        'train_dataloader.batch_size=64',
        'train_dataloader.pin_memory=True',  # DataLoader judges
        'randomness.seed=1',
        'work_dir=here',
        'model.backbone.drop_path_rate=0.1',  # SLGViT judges
        'model.backbone.trunk.depth=2',  # FrozenTrunk judges
        'custom_hooks.0.priority=LOW',
        'test_dataloader.dataset.datasets.1.pipeline.resize.scale=(320,256)',
    ],
)
def test_an_override_that_somebody_reads(config, option):
    cfg = read_config(str(config), parse_options([option]))
    node = cfg
    for key in option.split('=')[0].split('.'):
        node = node[int(key)] if key.isdigit() else node[key]
    assert node == next(iter(parse_options([option]).values()))


@pytest.mark.parametrize('word', ['randomness.seed', '=3', 'seed 3'])
def test_an_override_without_a_value(word):
    with pytest.raises(InputError, match=f'--cfg-options {word}: wanted KEY=VALUE'):
        parse_options([word])


def test_brackets_that_do_not_match():
    with pytest.raises(InputError, match='brackets that do not match'):
        parse_options(['scale=(640,[512)'])


def checked(config, *options):
    cfg = read_config(str(config), parse_options(options) if options else None)
    check_config(cfg)
    return cfg


def test_a_config_that_fits_together(config):
    assert isinstance(checked(config), Config)


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('train_dataloader.batch_size=0', r'train_dataloader\.batch_size=0: wanted a whole number from 1'),
        ('val_dataloader.batch_size=two', r"val_dataloader\.batch_size='two': wanted a whole number from 1"),
        (
            'test_dataloader.batch_size=True',
            r'test_dataloader\.batch_size=True: wanted a whole number from 1',
        ),
        ('train_dataloader.batch_size=None', r'train_dataloader\.batch_size=None: wanted a whole number'),
        (
            'train_dataloader.num_workers=-1',
            r'train_dataloader\.num_workers=-1: wanted a whole number from 0',
        ),
        ('train_cfg.max_iters=0', r'train_cfg\.max_iters=0: wanted a whole number from 1'),
        ('train_cfg.max_iters=1.5', r'train_cfg\.max_iters=1\.5: wanted a whole number from 1'),
        ('train_cfg.val_interval=0', r'train_cfg\.val_interval=0: wanted a whole number from 1'),
        ('randomness.seed=-1', r'randomness\.seed=-1: wanted a whole number from 0'),
        ('randomness=1', r'randomness=1: wanted a dict'),
        ('train_dataloader=3', r'train_dataloader=3: wanted a dict'),
        ('custom_hooks=3', r'custom_hooks=3: wanted a list'),
        ('param_scheduler=x', r"param_scheduler='x': wanted a dict or list"),
        ('load_from=3', r'load_from=3: wanted a str'),
        ('log_level=LOUD', r"log_level='LOUD': wanted INFO"),
        ('optim_wrapper.optimizer.lr=fast', r"optim_wrapper\.optimizer\.lr='fast': wanted a number from 0"),
        ('optim_wrapper.optimizer.lr=nan', r'optim_wrapper\.optimizer\.lr=nan: wanted a number from 0'),
        ('optim_wrapper.clip_grad.max_nrm=1', r'optim_wrapper\.clip_grad\.max_nrm: wanted max_norm'),
    ],
)
def test_a_value_that_is_none(config, option, message):
    config.write_text(
        CONFIG + "optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))\n"
    )
    checked(config, 'randomness.seed=None', 'optim_wrapper.clip_grad.max_norm=1', 'log_level=WARNING')
    with pytest.raises(InputError, match=message) as caught:
        checked(config, option)
    assert str(caught.value).startswith(f'{config}: ')


def test_no_model(tmp_path):
    file = tmp_path / 'config.py'
    file.write_text('train_cfg = dict()\n')
    with pytest.raises(InputError, match=r'config\.py: the config has no model'):
        checked(file)


def test_a_head_for_another_number_of_classes(config):
    with pytest.raises(
        InputError,
        match=r'model\.bbox_head\.num_classes=3 does not fit the 2 classes of the data: person, car',
    ):
        checked(config, 'model.bbox_head.num_classes=3')


def test_every_stage_of_a_cascade_is_checked(config):
    heads = "model = dict(type='X', roi_head=dict(bbox_head=[dict(num_classes=2), dict(num_classes=80)]))\n"
    config.write_text(CONFIG + heads)
    with pytest.raises(InputError, match=r'model\.roi_head\.bbox_head\.1\.num_classes=80 does not fit'):
        checked(config)


def test_splits_of_different_classes(config):
    config.write_text(
        CONFIG + "val_dataloader = dict(dataset=dict(metainfo=dict(classes=('car', 'person'))))\n"
    )
    with pytest.raises(InputError, match='has the classes person, car, and val_dataloader car, person'):
        checked(config)


@pytest.mark.parametrize(
    'scale', ['320x256x3', '(1,1)', '(96,31)', '(96,-64)', '(96,64,3)', '(96.5,64)', 'None']
)
def test_a_scale_that_is_none(config, scale):
    with pytest.raises(
        InputError, match=r'train_dataloader\.dataset\.pipeline\.resize\.scale=.*wanted width'
    ):
        checked(config, f'train_dataloader.dataset.pipeline.resize.scale={scale}')


@pytest.mark.parametrize('scale', ['(32,32)', '640', '[(640,512),(800,640)]'])
def test_a_scale(config, scale):
    checked(config, f'train_dataloader.dataset.pipeline.resize.scale={scale}')


@pytest.mark.parametrize(
    ('scale', 'ratios', 'message'),
    [
        ('(96,64)', '(0.6,1.0)', None),
        ('(96,64)', '(0.5,2)', None),
        ('(96,64)', '(0.45,1.0)', r'makes 29 pixels of scale=\(96, 64\), wanted at least 32'),
        ('[(640,512),(96,64)]', '(0.45,1.0)', 'makes 29 pixels of'),
        ('(96,64)', '(1.0,0.6)', 'wanted the least and greatest factor of scale'),
        ('(96,64)', '(0,1.0)', 'wanted the least and greatest factor of scale'),
        ('(96,64)', '0.6', 'wanted the least and greatest factor of scale'),
        ('(96,64)', '(0.6,0.8,1.0)', 'wanted the least and greatest factor of scale'),
    ],
)
def test_factors_of_a_scale(config, scale, ratios, message):
    step = 'train_dataloader.dataset.pipeline.resize'
    options = (f'{step}.type=RandomResize', f'{step}.scale={scale}', f'{step}.ratio_range={ratios}')
    if message is None:
        checked(config, *options)
        return
    with pytest.raises(InputError, match=r'pipeline\.resize\.ratio_range=.*' + message):
        checked(config, *options)


@pytest.mark.parametrize(
    'metainfo', ["dict(classes='person')", 'dict(classes={1, 2})', "('a', 'b')", "dict(classes=('a', 'a'))"]
)
def test_classes_that_are_none(config, metainfo):
    config.write_text(CONFIG.replace("dict(classes=('person', 'car'))", metainfo))
    with pytest.raises(InputError, match=r"config\.py: train_dataloader\.dataset\.metainfo=.*\('person',\)"):
        checked(config)


def test_an_evaluator_of_other_annotations_than_the_data(config):
    """As where data_root lacks its slash; numbers of images may agree by chance."""
    data = "val_dataloader = dict(dataset=dict(type='Data', data_root='there', ann_file='a.json'))\n"
    config.write_text(CONFIG + data + "val_evaluator = dict(type='Metric', ann_file='there/a.json')\n")
    checked(config)
    config.write_text(CONFIG + data + "val_evaluator = [dict(type='Metric', ann_file='therea.json')]\n")
    with pytest.raises(InputError, match=r"val_evaluator\.0\.ann_file='therea\.json'.*ends in a slash"):
        checked(config)


def test_a_pipeline_for_boxes_of_another_kind(config):
    step = "boxes=dict(type='mmdet.LoadAnnotations', with_bbox=True), "
    config.write_text(CONFIG.replace('pipeline=dict(', f'pipeline=dict({step}'))
    checked(config)
    config.write_text(CONFIG.replace('pipeline=dict(', f"box_type='qbox', pipeline=dict({step}"))
    with pytest.raises(InputError, match=r"pipeline\.boxes\.box_type is 'hbox', that of the dataset 'qbox'"):
        checked(config)


@pytest.mark.parametrize(
    ('before', 'after'), [('times=2', 'times=0'), ('datasets=[_data, _data]', 'datasets=[]')]
)
def test_a_wrapper_of_nothing(config, before, after):
    """An endless sampler would look for a first sample for ever."""
    assert before in CONFIG
    config.write_text(CONFIG.replace(before, after))
    with pytest.raises(InputError, match='dataset holds nothing: wanted datasets, and times from 1'):
        checked(config)
