"""The frozen trunk in checkpoints: named, not held; put back; never mistaken for another."""

import copy
import re

import pytest
import torch
from helpers import TINY, TINY_MODEL, iterations, run_here, write_leaf, write_trunk
from mmengine.registry import DefaultScope

from mmslg.apis.inference import load_detector
from mmslg.apis.launch import parse_options, read_config
from mmslg.apis.profiling import build_detector
from mmslg.engine.checkpoint_report import fit_to_model, match_keys
from mmslg.engine.checkpoints import read_checkpoint
from mmslg.engine.trunk_state import find_trunk, leave_out
from mmslg.errors import InputError

TRUNK = 'backbone.trunk.vit.'
META = dict(dataset_meta=dict(classes=('person', 'car', 'bicycle')))


@pytest.fixture(autouse=True)
def _scope():
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture
def trunk_file(tmp_path):
    return write_trunk(tmp_path / 'trunk.pth')


def config(pairs, trunk=None, *options):
    options = [*TINY, *options, *([f'model.backbone.trunk.checkpoint={trunk}'] if trunk else [])]
    return read_config(str(pairs / 'leaf.py'), parse_options(options))


def detector(pairs, trunk=None, *options, seed=1):
    return build_detector(config(pairs, trunk, *options), seed, keep_trunk=True)


def checkpoint_of(model):
    state = dict(model.state_dict())
    made = dict(
        state_dict=state, ema_state_dict={f'module.{k}': v for k, v in state.items()}, meta=dict(META)
    )
    leave_out(model, made)
    return copy.deepcopy(made)


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_trunk_is_named_and_put_back(pairs, trunk_file):
    model = detector(pairs, trunk_file)
    checkpoint = checkpoint_of(model)
    for part in ('state_dict', 'ema_state_dict'):
        assert checkpoint[part] and not any(TRUNK in name for name in checkpoint[part])
    trunk = model.backbone.trunk
    assert checkpoint['meta']['trunk'] == trunk.source
    assert len(trunk.source['fingerprint']) == 64
    other = detector(pairs, trunk_file, seed=2)
    assert not same(model, other)
    fit_to_model('a.pth', other, checkpoint)
    state = checkpoint['state_dict']
    match = match_keys(other, state)
    assert match.complete and match.by_part()['trunk'] == (34, 34) and not match.unexpected
    assert checkpoint['ema_state_dict'].keys() == {f'module.{name}' for name in state}
    other.load_state_dict(state)
    assert same(model, other) and not other.backbone.trunk.replaced


def test_random_weights_are_held(pairs):
    checkpoint = checkpoint_of(detector(pairs))
    assert f'{TRUNK}blocks.1.norm1.weight' in checkpoint['state_dict'] and 'trunk' not in checkpoint['meta']


def test_what_learns_is_held(pairs, trunk_file):
    model = detector(pairs, trunk_file)
    model.backbone.trunk.vit.blocks[1].requires_grad_(True)
    kept = [name for name in checkpoint_of(model)['state_dict'] if name.startswith(TRUNK)]
    assert kept and all(name.startswith(f'{TRUNK}blocks.1.') for name in kept)


def test_blocks_that_learnt_stay_in_the_next_checkpoint(pairs, trunk_file):
    """Also where they are frozen again: no file but the checkpoint has them."""
    model = detector(pairs, trunk_file)
    model.backbone.trunk.vit.blocks[1].requires_grad_(True)
    with torch.no_grad():
        model.backbone.trunk.vit.blocks[1].norm1.weight.add_(1)
    first = checkpoint_of(model)
    other = detector(pairs, trunk_file, seed=2)
    fit_to_model('a.pth', other, first)
    other.load_state_dict(first['state_dict'])
    assert same(model, other)
    second = checkpoint_of(other)
    assert f'{TRUNK}blocks.1.norm1.weight' in second['state_dict']
    third = detector(pairs, trunk_file, seed=3)
    fit_to_model('b.pth', third, second)
    third.load_state_dict(second['state_dict'])
    assert same(model, third)


def test_another_trunk_is_refused(pairs, trunk_file, tmp_path):
    checkpoint = checkpoint_of(detector(pairs, trunk_file))
    wrong = write_trunk(tmp_path / 'wrong.pth', seed=6)
    named, own = (detector(pairs, file).backbone.trunk.fingerprint[:12] for file in (trunk_file, wrong))
    torch.save(checkpoint, tmp_path / 'a.pth')
    for options, message in (
        ((wrong,), rf'{named}, .* does not hold it; the config.s has other weights: .*{own}'),
        (
            (trunk_file, 'model.backbone.trunk.img_size=160'),
            r'257 positions.* other positions: .*101 positions',
        ),
        ((trunk_file, 'model.backbone.trunk.patch_size=8'), 'other patch size: .*patch 8'),
        ((None,), f'{named}, .*which it does not hold, and the config.s trunk has random weights'),
        ((tmp_path / 'none.pth',), 'none.pth: no such file, wanted a checkpoint of the frozen trunk'),
    ):
        with pytest.raises(InputError, match=message) as caught:
            load_detector(config(pairs, *options), str(tmp_path / 'a.pth'))
        assert '\n' not in str(caught.value)


def test_a_whole_checkpoint_spares_the_trunks_file(pairs, trunk_file, tmp_path):
    """``pretrained`` would be downloaded; a file that is gone would be missed."""
    model = detector(pairs, trunk_file)
    torch.save(dict(state_dict=model.state_dict(), meta=META), tmp_path / 'old.pth')
    named = dict(META, trunk=model.backbone.trunk.source)
    torch.save(dict(state_dict=model.state_dict(), meta=named), tmp_path / 'full.pth')
    altered = {**model.state_dict(), f'{TRUNK}norm.bias': torch.ones(24)}
    torch.save(dict(state_dict=altered, meta=named), tmp_path / 'altered.pth')
    for file, held in (('old.pth', True), ('full.pth', False), ('altered.pth', True)):
        loaded = load_detector(config(pairs, 'pretrained'), str(tmp_path / file))
        assert file == 'altered.pth' or same(model, loaded)
        # A later checkpoint names the trunk where it is proven to be the file's, and holds it elsewhere.
        assert (f'{TRUNK}norm.bias' in checkpoint_of(loaded)['state_dict']) == held


def test_a_whole_checkpoint_with_the_trunks_file_at_hand(pairs, trunk_file):
    """Older checkpoints hold the trunk; the next one does not, if it is the config's."""
    model = detector(pairs, trunk_file)
    for change, held in ((0, 0), (1e-3, 1)):
        old = dict(state_dict={k: v.clone() for k, v in model.state_dict().items()}, meta=dict(META))
        old['state_dict'][f'{TRUNK}norm.bias'] += change
        other = detector(pairs, trunk_file, seed=2)
        fit_to_model('old.pth', other, old)
        other.load_state_dict(old['state_dict'])
        assert sum(name.startswith(TRUNK) for name in checkpoint_of(other)['state_dict']) == held


def test_a_whole_checkpoint_with_another_grid_of_positions(pairs, trunk_file, tmp_path):
    """Once positions were resampled as weights were loaded; such a checkpoint keeps its grid."""
    model = detector(pairs, trunk_file, 'model.backbone.trunk.img_size=96')
    path = tmp_path / 'old.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(META)), path)
    assert same(load_detector(config(pairs, tmp_path / 'none'), str(path)), model)  # no file of the trunk
    other = detector(pairs, trunk_file)
    fit_to_model('old.pth', other, read_checkpoint(str(path)))
    later = checkpoint_of(other)
    assert [name for name in later['state_dict'] if name.startswith(TRUNK)] == [f'{TRUNK}pos_embed']
    again = detector(pairs, trunk_file)
    fit_to_model('later.pth', again, later)
    assert again.backbone.trunk.vit.pos_embed.shape == (1, 1 + 6 * 6, 24)


def test_tensors_of_a_trunk_that_the_config_does_not_have(pairs, trunk_file, tmp_path):
    checkpoint = checkpoint_of(detector(pairs, trunk_file))
    checkpoint['state_dict'][f'{TRUNK}blocks.0.attn.qkv.lora_A.weight'] = torch.ones(2, 24)
    torch.save(checkpoint, tmp_path / 'a.pth')
    with pytest.raises(InputError, match=r'does not fit the config: .* 1 unexpected .*lora_A'):
        load_detector(config(pairs, trunk_file), str(tmp_path / 'a.pth'))


@pytest.mark.slow
def test_a_run_saves_what_it_learnt(pairs, trunk_file, tmp_path, monkeypatch, capfd):
    """Trained, resumed, tested and fine-tuned on checkpoints without the trunk."""
    write_leaf(pairs, more=f'model = dict(backbone=dict(trunk=dict(checkpoint={str(trunk_file)!r})))\n')
    tiny, work = ['--cfg-options', *TINY_MODEL], tmp_path / 'run'

    def run(tool, *args):
        code = run_here(tool, monkeypatch, *args)
        text = ''.join(capfd.readouterr())
        assert not code, text[-3000:]
        return text

    run('train.py', pairs / 'leaf.py', '--work-dir', work, *tiny, *iterations(2))
    checkpoint = read_checkpoint(str(work / 'iter_2.pth'))
    for part in ('state_dict', 'ema_state_dict'):
        assert not any(TRUNK in name for name in checkpoint[part])
    text = run('train.py', pairs / 'leaf.py', '--work-dir', work, '--resume', *tiny, *iterations(4))
    assert re.search(
        r'iter_2.pth: the frozen trunk is that of the config, vit_small_patch14_dinov2 \(SHA', text
    )
    assert 'missing keys' not in text and re.search(r'trunk 34 of 34, structure encoder \d+ of', text)
    checkpoint = read_checkpoint(str(work / 'iter_4.pth'))
    assert not any(TRUNK in name for name in checkpoint['state_dict'])
    text = run('test.py', pairs / 'leaf.py', work / 'iter_4.pth', '--work-dir', work, *tiny)
    assert '0 missing' in text and 'coco/bbox_mAP' in text
    find = find_trunk(load_detector(config(pairs, trunk_file), str(work / 'iter_4.pth')))
    assert find[0] == 'backbone.trunk.'
