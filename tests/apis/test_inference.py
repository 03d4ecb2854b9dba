"""A detector with a checkpoint's weights."""

import pytest
import torch
from helpers import TINY, write_weights
from mmengine.registry import DefaultScope

from mmslg.apis.inference import load_detector
from mmslg.apis.launch import parse_options, read_config
from mmslg.apis.profiling import build_detector
from mmslg.errors import InputError
from mmslg.visualization.samples import build_split


@pytest.fixture(autouse=True)
def _scope():
    yield
    DefaultScope._instance_dict.clear()


def config(pairs, *options):
    return read_config(str(pairs / 'leaf.py'), parse_options([*TINY, *options]))


@pytest.fixture
def saved(pairs):
    """Weights of another seed, and the file that holds them."""
    model = build_detector(config(pairs), seed=1)
    return model.state_dict(), write_weights(pairs / 'weights.pth', model)


def resave(path, change):
    checkpoint = torch.load(path)
    change(checkpoint)
    torch.save(checkpoint, path)


def test_it_has_the_weights_of_the_checkpoint(pairs, saved):
    weights, path = saved
    model = load_detector(config(pairs), str(path))
    assert not model.training
    assert all(torch.equal(value.cpu(), weights[name]) for name, value in model.state_dict().items())


def test_what_it_refuses(pairs, saved):
    _, path = saved

    def refused(message, *options):
        with pytest.raises(InputError, match=message) as caught:
            load_detector(config(pairs, *options), str(path))
        assert '\n' not in str(caught.value)

    refused('num_classes=4 does not fit the 3 classes', 'model.bbox_head.num_classes=4')
    refused(r'leaf\.py: model\.backbone\.type: there is no mmslg\.SLGVit', 'model.backbone.type=mmslg.SLGVit')
    refused(
        r"leaf\.py: model\.neck\.0\.in_chanels: LanguageGuided.*'in_chanels'", 'model.neck.0.in_chanels=3'
    )
    refused(r"unexpected keyword argument 'dept'", 'model.backbone.trunk.dept=3')
    refused(r'leaf\.py: model\.backbone\.depth: SLGViT', 'model.backbone.depth=3')  # not trunk.depth
    resave(path, lambda c: c['state_dict'].pop('bbox_head.atss_cls.bias'))
    refused(r'does not fit the config: .* 1 missing \(bbox_head.atss_cls.bias\)')
    resave(path, lambda c: c['state_dict'].update({'bbox_head.atss_cls.bias': torch.full((3,), torch.nan)}))
    refused('bbox_head.atss_cls.bias of state_dict holds NaN or infinite values')
    resave(path, lambda c: c['meta']['dataset_meta'].update(classes=('car', 'person', 'bicycle')))
    resave(path, lambda c: c['state_dict'].update({'bbox_head.atss_cls.bias': torch.zeros(3)}))
    refused(
        'trained on the classes car, person, bicycle; the config has person, car, bicycle in another order'
    )
    path.write_bytes(path.read_bytes()[:2000])
    refused('the file is truncated or damaged')


def test_a_dataset_that_does_not_exist(pairs):
    with pytest.raises(InputError, match=r'train_dataloader\.dataset\.type: there is no mmslg\.PairedCoco '):
        build_split(config(pairs, 'train_dataloader.dataset.type=mmslg.PairedCoco'), 'train')
    step = 'train_dataloader.dataset.pipeline.resize'
    with pytest.raises(InputError, match=rf'{step}\.type: there is no mmdet\.Resise among'):
        build_split(config(pairs, f'{step}.type=mmdet.Resise'), 'train')
    with pytest.raises(InputError, match=rf"{step}\.keep_ratoi: Resize.*'keep_ratoi'"):
        build_split(config(pairs, f'{step}.keep_ratoi=True'), 'train')
    with pytest.raises(InputError, match=r'window=.*wanted \(low, high\)'):
        build_split(config(pairs, 'train_dataloader.dataset.pipeline.infrared.window=(40000,20000)'), 'train')
