"""Whose figures they are: pairs, the image that is moved, and what a folder holds."""

import json
from types import SimpleNamespace

import pytest
from helpers import make_pairs
from mmengine.config import Config
from torch import nn

from mmslg.apis.subsets import write_first_pairs
from mmslg.errors import InputError
from mmslg.robustness.cells import Subject
from mmslg.robustness.run import _computed
from mmslg.robustness.subjects import check_first, cut_to_first, identity_of, make_subject


def make_config(folder, more=''):
    path = folder / 'leaf.py'
    path.write_text(path.read_text() + more)
    return Config.fromfile(path)


@pytest.mark.parametrize(
    ('drawn', 'moved'), [('ir', 'visible'), ('visible', 'infrared'), ('both', 'infrared')]
)
def test_the_image_without_boxes_is_moved(tmp_path, drawn, moved):
    file = make_pairs(tmp_path) / 'annotations_test.json'
    data = json.loads(file.read_text())
    data['info']['label_modality'] = drawn
    file.write_text(json.dumps(data))
    cfg = make_config(tmp_path)
    assert make_subject(cfg, 0, None, 'auto').moved == moved
    assert make_subject(cfg, 0, 'infrared', 'auto').moved == 'visible'


def test_the_first_pairs_alone(tmp_path):
    whole = make_subject(make_config(make_pairs(tmp_path / 'pairs')), 0, None, 'auto')
    assert len(check_first(whole, 2).pairs) == 2
    part = cut_to_first(whole, 2, tmp_path / 'out')
    assert [p['key'] for p in part.pairs] == ['test_001.png', 'test_002.png']
    again = make_subject(part.cfg, 0, None, 'auto')
    assert again.pairs == part.pairs
    assert part.cfg.test_evaluator.ann_file == part.cfg.test_dataloader.dataset.ann_file
    with pytest.raises(InputError, match='--first 4: the test set has 3 pairs'):
        check_first(whole, 4)
    whole.cfg.test_evaluator.ann_file = None
    assert cut_to_first(check_first(whole, 1), 1, tmp_path / 'one').cfg.test_evaluator.ann_file is None
    other = make_subject(
        make_config(tmp_path / 'pairs', "test_evaluator = dict(ann_file='other.json')\n"), 0, None, 'auto'
    )
    with pytest.raises(InputError, match=r'--first wants an evaluator that reads .*annotations_test\.json'):
        check_first(other, 2)


def test_a_subset_of_annotations_beside_no_images_finds_them(tmp_path):
    make_pairs(tmp_path / 'pairs')
    out = tmp_path / 'elsewhere' / 'part.json'
    (tmp_path / 'ann').mkdir()
    (tmp_path / 'pairs/annotations_test.json').rename(tmp_path / 'ann/test.json')
    assert write_first_pairs(tmp_path / 'ann/test.json', 1, out, str(tmp_path / 'pairs')) == (1, 1)
    assert (out.parent / json.loads(out.read_text())['info']['data_root']).resolve() == tmp_path / 'pairs'


def test_boxes_drawn_in_different_images_want_a_reference(tmp_path):
    cfg = make_config(make_pairs(tmp_path))
    one = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[one, {**one, 'ann_file': 'other.json'}]
    )
    data = json.loads((tmp_path / 'annotations_test.json').read_text())
    (tmp_path / 'other.json').write_text(json.dumps(data))
    assert make_subject(cfg, 0, None, 'auto').moved == 'visible'
    data['info']['label_modality'] = 'visible'
    (tmp_path / 'other.json').write_text(json.dumps(data))
    with pytest.raises(InputError, match='were drawn in different images; say by --reference'):
        make_subject(cfg, 0, None, 'auto')
    assert make_subject(cfg, 0, 'visible', 'auto').moved == 'infrared'


@pytest.mark.parametrize('kind', ['CorruptPair', 'DelayImage'])
def test_pairs_that_the_config_corrupts_are_not_corrupted_again(tmp_path, kind):
    (tmp_path / 'foggy.py').touch()
    steps = dict(corruption=dict(type=f'mmslg.{kind}'))
    for pipeline in (steps, list(steps.values())):
        dataset = dict(type='RepeatDataset', dataset=dict(pipeline=pipeline))
        cfg = Config(dict(test_dataloader=dict(dataset=dataset)), filename=tmp_path / 'foggy.py')
        with pytest.raises(InputError, match=rf'foggy.py: .*already \({kind}\).*corruption=None'):
            make_subject(cfg, 0, None, 'auto')


@pytest.fixture
def tested(tmp_path):
    for name in ('toy.pth', 'boxes.json', 'truth.json'):
        (tmp_path / name).write_text('{}')
    return Config(
        dict(
            model=dict(type='Toy'),
            test_dataloader=dict(num_workers=1, dataset=dict(data_root=str(tmp_path), ann_file='boxes.json')),
            test_evaluator=[dict(ann_file=str(tmp_path / 'truth.json')), dict(ann_file=None)],
            custom_hooks=[dict(type='EMAHook', momentum=0.1)],
            default_hooks=dict(precision=dict(tf32=False), logger=dict(interval=1)),
            env_cfg=dict(cudnn_benchmark=False, mp_cfg=dict(opencv_num_threads=0)),
        )
    )


def test_what_figures_depend_on(tested, tmp_path):
    def identity():
        return identity_of(Subject(tested, [], 0, 'visible'), tmp_path / 'toy.pth', None)

    before = identity()
    settings = {key: value for key, value in before['settings'].items() if key[0] not in '-t'}
    assert {'model.type', 'custom_hooks.0.momentum', 'default_hooks.precision.tf32'} <= set(settings)
    assert settings['env_cfg.cudnn_benchmark'] == 'False'
    assert not [key for key in before['settings'] if 'logger' in key or 'mp_cfg' in key or 'workers' in key]
    assert set(before['files']) == {str(tmp_path / 'boxes.json'), str(tmp_path / 'truth.json')}
    (tmp_path / 'truth.json').write_text('[]')
    assert identity()['files'] != before['files']


def test_a_folder_without_the_package_says_so(tested, tmp_path, monkeypatch):
    monkeypatch.setattr('mmslg.robustness.subjects.installed', lambda: None)
    settings = identity_of(Subject(tested, [], 0, 'visible'), tmp_path / 'toy.pth', None)['settings']
    assert settings['the release of imagecorruptions-imaug'] == 'not installed'


@pytest.mark.parametrize('fp16', [True, False])
def test_autocast_is_said(fp16):
    said = _computed(SimpleNamespace(model=nn.Identity(), test_loop=SimpleNamespace(fp16=fp16)))
    assert said.startswith('features under autocast, TF32 ') == fp16 and ', on ' in said
