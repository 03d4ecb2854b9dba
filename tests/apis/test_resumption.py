"""Which runs may go on from a checkpoint, and what is said of it."""

import pytest
from mmengine.config import Config

from mmslg.apis.resumption import _same_run, compare_images
from mmslg.engine.identity import flat_settings, run_identity
from mmslg.errors import InputError


@pytest.fixture
def cfg(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a/train.json').write_text('{}')
    dataset = dict(data_root=str(tmp_path / 'a'), ann_file='train.json')
    return Config(
        dict(
            rounds=3,
            train_dataloader=dict(batch_size=2, num_workers=0, dataset=dataset),
            train_cfg=dict(max_iters=4),
            randomness=dict(seed=0),
        )
    )


def test_the_same_run_goes_on_in_silence(cfg):
    assert _same_run(cfg, 'a.pth', run_identity(cfg)) == ''


def test_what_may_differ_is_said(cfg):
    before = run_identity(cfg)
    cfg.train_cfg.max_iters, cfg.train_dataloader.num_workers, cfg.work_dir, cfg.rounds = 8, 2, 'b', 4
    assert _same_run(cfg, 'a.pth', before) == (
        'going on with other settings: train_dataloader.num_workers was 0 and is 2; '
        "train_cfg.max_iters was 4 and is 8; work_dir was not set and is 'b'"
    )


def test_data_that_lie_elsewhere(cfg, tmp_path):
    before = run_identity(cfg)
    (tmp_path / 'a').rename(tmp_path / 'b')
    cfg.train_dataloader.dataset.data_root = str(tmp_path / 'b')
    assert 'going on with other settings: train_dataloader.dataset.data_root was' in _same_run(
        cfg, 'a', before
    )
    (tmp_path / 'b/train.json').write_text('[]')
    with pytest.raises(InputError, match=r'a: is of another run \(train_dataloader\.dataset\.data_root was'):
        _same_run(cfg, 'a', before)


def test_other_data_in_their_place(cfg, tmp_path):
    before = run_identity(cfg)
    (tmp_path / 'a/train.json').write_text('[]')
    with pytest.raises(InputError, match=r'another run \(.*train\.json has another content\); resume with'):
        _same_run(cfg, 'a', before)


@pytest.mark.parametrize('before', [None, 'text', {'settings': {}}, {'settings': 1, 'files': {}}])
def test_a_checkpoint_that_does_not_say(cfg, before):
    assert 'a.pth does not say of which run it is' in _same_run(cfg, 'a.pth', before)


def test_a_seed_that_is_left_open(cfg):
    before = run_identity(cfg)
    cfg.randomness = {}
    assert 'randomness.seed was 0 and is not set' in _same_run(cfg, 'a.pth', before)


@pytest.mark.parametrize(
    ('before', 'now', 'said'),
    [
        (('both', 'rgb'), ('both', 'rgb'), ''),
        (('both', 'rgb'), ('both', 'ir'), "(model.backbone.trunk_input was 'rgb' and is 'ir')"),
        (('both', 'rgb'), ('ir', 'rgb'), "(model.data_preprocessor.modality was 'both' and is 'ir'"),
        (('ir', 'rgb'), ('ir', 'ir'), ''),  # the infrared image stands in both places
    ],
)
def test_images_of_a_training_and_of_a_config(before, now, said):
    def config(images):
        modality, trunk_input = images
        model = dict(data_preprocessor=dict(modality=modality), backbone=dict(trunk_input=trunk_input))
        return Config(dict(model=model))

    identity = dict(settings=flat_settings(config(before)))
    remark = compare_images(config(now), 'a.pth', dict(identity=identity))
    assert said in remark and bool(remark) == bool(said)
