"""Parts of what a run says of itself."""

import hashlib
import subprocess

import pytest
from mmengine.config import Config
from torch import nn

from mmslg.engine.run_facts import config_facts, count_parameters, data_facts, git_state
from mmslg.engine.run_report import batch_line, read_starts
from mmslg.errors import InputError


def test_parameters_by_module():
    """What is frozen in part is taken apart; what is shared counts once, where it comes first."""
    model = nn.Module()
    model.backbone = nn.Module()
    model.backbone.trunk = nn.Linear(2, 3).requires_grad_(False)
    model.backbone.adapter = nn.Linear(3, 1)
    model.backbone.gamma = nn.Parameter(nn.Parameter(model.backbone.adapter.bias.detach().clone()))
    model.neck = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    model.head = nn.ModuleList([model.neck[0], nn.Linear(1, 2, bias=False)])
    model.query = nn.Parameter(model.neck[0].weight.detach().repeat(7, 1))
    model.norm = nn.Identity()
    assert count_parameters(model) == {
        'backbone.trunk': dict(trainable=0, frozen=9),
        'backbone.adapter': dict(trainable=4, frozen=0),
        'backbone': dict(trainable=1, frozen=0),
        'neck': dict(trainable=2, frozen=0),
        'head': dict(trainable=2, frozen=0),
        'itself': dict(trainable=7, frozen=0),
    }


BATCH = dict(effective=16, a_process=1, processes=8, accumulated=2, recipe=8, scaled=False)
SAID = 'effective batch 16 = 1 a process x 8 processes x 2 accumulated; learning rates 0.0001, 0.002'


@pytest.mark.parametrize(
    ('changes', 'end'),
    [
        (
            {},
            "; NOTE: the recipe's learning rate is for batch 8, and nothing was scaled (--auto-scale-lr "
            'does)',
        ),
        (dict(scaled=True), "; scaled from the recipe's batch 8"),
        (dict(recipe=16), ''),
        (dict(recipe=None), ''),
    ],
)
def test_a_batch_that_is_not_the_recipes(changes, end):
    groups = [dict(lr=0.002), dict(lr=0.0001), dict(lr=0.002)]
    assert batch_line({**BATCH, **changes}, groups) == SAID + end


def test_data_with_the_manifest_of_their_conversion(tmp_path):
    for name in ('train.json', 'manifest.json'):
        (tmp_path / name).write_text(name)
    dataset = dict(data_root=str(tmp_path), ann_file='train.json', caption_store='none.safetensors')
    facts = data_facts(Config(dict(train_dataloader=dict(dataset=dataset))))
    digest = {name: hashlib.sha256(name.encode()).hexdigest() for name in ('train.json', 'manifest.json')}
    assert facts == dict(
        files={str(tmp_path / 'none.safetensors'): None, str(tmp_path / 'train.json'): digest['train.json']},
        manifests={str(tmp_path / 'manifest.json'): digest['manifest.json']},
    )


def test_the_state_of_git(tmp_path, monkeypatch):
    monkeypatch.setenv('GIT_CEILING_DIRECTORIES', str(tmp_path.parent))
    assert git_state(tmp_path) is None

    def git(*words):
        who = ['-c', 'user.name=a', '-c', 'user.email=a@b.c', '-c', 'commit.gpgsign=false']
        done = subprocess.run(['git', *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git('init', '-q')
    assert git_state(tmp_path) is None  # no commit yet
    (tmp_path / 'a.py').write_text('a = 1\n')
    git('add', 'a.py')
    git('commit', '-qm', 'first')
    commit = git('rev-parse', 'HEAD')
    (tmp_path / 'b.py').write_text('a = 2\n')
    assert git_state(tmp_path) == git_state(tmp_path, 'a.py') == dict(commit=commit, changed=False)
    assert git_state(tmp_path, 'b.py') == dict(commit=commit, changed=True)  # git does not know it
    assert config_facts(Config.fromfile(str(tmp_path / 'b.py')))['git'] == dict(commit=commit, changed=True)
    (tmp_path / 'a.py').write_text('a = 3\n')
    assert git_state(tmp_path) == dict(commit=commit, changed=True)
    monkeypatch.setenv('PATH', '')
    assert git_state(tmp_path) is None


def test_settings_are_those_of_every_start(tmp_path):
    (tmp_path / 'a.py').write_text('model = dict(width=3)\nload_from = None\n')
    cfg = Config.fromfile(str(tmp_path / 'a.py'))
    first = config_facts(cfg)
    assert first['sha256'] == hashlib.sha256((tmp_path / 'a.py').read_bytes()).hexdigest()
    cfg.merge_from_dict(dict(load_from='x', resume=True, work_dir='y', launcher='slurm'))
    assert config_facts(cfg) == first
    cfg.merge_from_dict({'model.width': 4})
    assert config_facts(cfg)['settings_sha256'] != first['settings_sha256']
    assert config_facts(Config(dict(model=dict(width=3)))) == dict(
        file=None, sha256=None, settings_sha256=first['settings_sha256'], git=None
    )


@pytest.mark.parametrize('text', ['{}', '[]', '{"starts": 3}', '{"starts": [3]}', '{"starts": ['])
def test_a_file_of_something_else(tmp_path, text):
    (tmp_path / 'run.json').write_text(text)
    with pytest.raises(InputError, match=r'run\.json: (wanted the starts of a run|not valid JSON)'):
        read_starts(tmp_path / 'run.json')
    assert read_starts(tmp_path / 'none.json') == []
