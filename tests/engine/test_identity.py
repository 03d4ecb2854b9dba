"""Which run a folder holds."""

import json
import os
import tempfile

import pytest
from mmengine.config import Config

from mmslg.engine.identity import check_folder, claim, difference, run_identity
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


@pytest.mark.parametrize('name', ['sheet.png', '.identity-part-a1b2c3d4.json'])
def test_what_is_of_no_run_does_not_count(cfg, tmp_path, name):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / name).touch()
    assert not check_folder(tmp_path / 'run', run_identity(cfg), besides=['sheet.png'])
    claim(tmp_path / 'run', run_identity(cfg), besides=['sheet.png'])
    assert sorted(os.listdir(tmp_path / 'run')) == sorted([name, 'identity.json'])


def claimed_at(monkeypatch, module, name, folder, identity):
    """Let another process claim the folder and begin as soon as a function is called."""
    function = getattr(module, name)

    def called(*args, **kwargs):
        monkeypatch.setattr(module, name, function)
        claim(folder, identity)
        (folder / 'log').mkdir()
        return function(*args, **kwargs)

    monkeypatch.setattr(module, name, called)


def test_another_process_of_the_run_was_faster(cfg, tmp_path, monkeypatch):
    (tmp_path / 'run').mkdir()
    claimed_at(monkeypatch, os, 'listdir', tmp_path / 'run', run_identity(cfg))
    assert check_folder(tmp_path / 'run', run_identity(cfg))


@pytest.mark.parametrize('seed', [0, 1])
def test_of_two_runs_at_once_the_first_has_the_folder(cfg, tmp_path, monkeypatch, seed):
    folder, first = tmp_path / 'run', run_identity(cfg)
    cfg.randomness.seed = seed
    claimed_at(monkeypatch, tempfile, 'mkstemp', folder, first)
    if seed:
        with pytest.raises(InputError, match=r'holds another run \(randomness.seed was 0 and is 1\)'):
            claim(folder, run_identity(cfg))
    else:
        claim(folder, run_identity(cfg))
    assert json.loads((folder / 'identity.json').read_text()) == first
    assert sorted(os.listdir(folder)) == ['identity.json', 'log']


def test_a_disk_without_hard_links(cfg, tmp_path, monkeypatch):
    def link(*names):
        raise PermissionError(1, 'Operation not permitted', *names)

    monkeypatch.setattr(os, 'link', link)
    claim(tmp_path / 'run', run_identity(cfg))
    assert os.listdir(tmp_path / 'run') == ['identity.json']
