"""Which run a folder holds."""

import json

import pytest
from mmengine.config import Config

from mmslg.engine.identity import claim, difference, run_identity
from mmslg.errors import InputError


@pytest.fixture
def cfg(tmp_path):
    (tmp_path / 'train.json').write_text('{}')
    (tmp_path / 'captions.safetensors').write_bytes(b'abc')
    dataset = dict(data_root=str(tmp_path), ann_file='train.json', caption_store='captions.safetensors')
    return Config(
        dict(
            train_dataloader=dict(batch_size=2, dataset=dict(type='RepeatDataset', dataset=dataset)),
            test_dataloader=dict(dataset=dict(ann_file=str(tmp_path / 'none.json'))),
            randomness=dict(seed=0),
        )
    )


def test_identity(cfg, tmp_path):
    identity = run_identity(cfg)
    assert identity['files'] == {
        str(tmp_path / 'captions.safetensors'): (
            'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'  # SHA-256 of abc
        ),
        str(tmp_path / 'none.json'): None,
        str(tmp_path / 'train.json'): '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
    }
    assert identity['settings']['randomness.seed'] == '0'
    assert identity['settings']['train_dataloader.dataset.dataset.ann_file'] == "'train.json'"
    assert difference(identity, json.loads(json.dumps(run_identity(cfg)))) == ''


def test_a_folder_belongs_to_its_run(cfg, tmp_path):
    folder = tmp_path / 'run'
    claim(folder, run_identity(cfg))
    claim(folder, run_identity(cfg))
    cfg.randomness.seed, cfg.train_dataloader.batch_size = 1, 4
    with pytest.raises(
        InputError,
        match=r'run: holds another run \(train_dataloader.batch_size was 2 and is 4; randomness.seed was 0 '
        r'and is 1\)',
    ):
        claim(folder, run_identity(cfg))


@pytest.mark.parametrize('name', ['train.json', 'captions.safetensors'])
def test_other_data_are_another_run(cfg, tmp_path, name):
    claim(tmp_path / 'run', run_identity(cfg))
    (tmp_path / name).write_text('[]')
    with pytest.raises(InputError, match=rf'holds another run \(.*{name} has another content\)'):
        claim(tmp_path / 'run', run_identity(cfg))


def test_many_differences_are_counted(cfg):
    now = run_identity(cfg)
    before = {'settings': {f'x{i}': '1' for i in range(5)}, 'files': {}}
    assert 'x0 was 1 and is not set; x1' in difference(before, now)
    assert difference(before, now).endswith(f'and {5 + len(now["settings"]) - 3} more')


def test_a_folder_of_an_unknown_run(cfg, tmp_path):
    (tmp_path / 'run/train').mkdir(parents=True)
    with pytest.raises(InputError, match='run: holds a run that has not said which'):
        claim(tmp_path / 'run', run_identity(cfg))
