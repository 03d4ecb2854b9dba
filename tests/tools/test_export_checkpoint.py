"""Exports of a checkpoint: whole, adapters alone, their card, and what is refused."""

import hashlib
import json
import re

import pytest
import torch
from helpers import TINY_MODEL, run_here, shipped_config, write_leaf, write_trunk
from mmengine.registry import DefaultScope

from mmslg.apis.export import export_checkpoint, find_config
from mmslg.apis.inference import load_detector
from mmslg.apis.launch import parse_options, read_config
from mmslg.apis.profiling import build_detector
from mmslg.apis.resumption import compare_images
from mmslg.engine.checkpoint_report import fit_to_model, match_keys
from mmslg.engine.checkpoints import read_checkpoint
from mmslg.engine.trunk_state import leave_out
from mmslg.errors import InputError

CLASSES = ('person', 'car', 'bicycle')


@pytest.fixture(autouse=True)
def _scope():
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture
def trained(pairs, tmp_path):
    """A work folder with a checkpoint, and the model that it is of."""
    trunk = write_trunk(tmp_path / 'trunk.pth')
    write_leaf(pairs, more=f'model = dict(backbone=dict(trunk=dict(checkpoint={str(trunk)!r})))\n')
    model = build_detector(read_config(str(pairs / 'leaf.py'), OPTIONS), 1, keep_trunk=True)
    (tmp_path / 'run').mkdir()
    read_config(str(pairs / 'leaf.py')).dump(tmp_path / 'run/leaf.py')
    state = dict(model.state_dict())
    meta = dict(epoch=0, iter=4, cfg='seed = 0', dataset_meta=dict(classes=CLASSES))
    checkpoint = dict(meta=meta, state_dict=state, optimizer=dict(a=torch.ones(9)), message_hub={})
    checkpoint['ema_state_dict'] = {f'module.{name}': value + 1 for name, value in state.items()}
    checkpoint['identity'] = dict(settings={'model.backbone.trunk_input': "'rgb'"}, files={})
    leave_out(model, checkpoint)
    torch.save(checkpoint, tmp_path / 'run/iter_4.pth')
    return tmp_path / 'run', model


OPTIONS = parse_options(TINY_MODEL)


def export(folder, out, **options):
    return export_checkpoint(str(folder / 'iter_4.pth'), str(out), None, OPTIONS, **options)


@pytest.mark.parametrize('name', ['full.pth', 'full.safetensors'])
def test_everything_in_one_file(trained, pairs, tmp_path, name):
    folder, model = trained
    said = export(folder, tmp_path / name)
    assert re.fullmatch(rf'{tmp_path / name}: \d+ tensors, 0\.\d+ M values, .* MB; .*{name}\.md', said)
    read = read_checkpoint(str(tmp_path / name))
    assert set(read) == {'meta', 'state_dict'}
    assert read['meta']['trunk'] == model.backbone.trunk.source
    swapped = {**OPTIONS, 'model.data_preprocessor.modality': 'swapped'}
    other = compare_images(read_config(str(pairs / 'leaf.py'), swapped), name, read)
    assert other.startswith(f'{name}: it was trained on other images') and "'both' and is 'swapped'" in other
    (tmp_path / 'trunk.pth').unlink()  # not needed any more
    loaded = load_detector(read_config(str(pairs / 'leaf.py'), OPTIONS), str(tmp_path / name))
    for key, value in model.state_dict().items():  # the average, which the checkpoint has as its weights
        assert torch.equal(loaded.state_dict()[key], value), key


def test_adapters_alone(trained, pairs, tmp_path):
    folder, _ = trained
    out = tmp_path / 'adapters.safetensors'
    export(folder, out, adapters=True)
    read = read_checkpoint(str(out))
    starts = {name.split('.')[0] + '.' + name.split('.')[1] for name in read['state_dict']}
    assert starts == {'backbone.structure_encoder', 'backbone.adapters', 'neck.0'}
    cfg = read_config(str(pairs / 'leaf.py'), OPTIONS)
    other = build_detector(cfg, 2, keep_trunk=False)
    with pytest.raises(
        InputError, match=r'which it does not hold, and the config.s trunk has random weights'
    ):
        fit_to_model('a', other, read)
    other = build_detector(read_config(str(pairs / 'leaf.py'), OPTIONS), 2, keep_trunk=True)
    fit_to_model('a', other, read)
    match = match_keys(other, read['state_dict'])
    parts = match.by_part()
    came = {part for part, (number, total) in parts.items() if number == total}
    assert came == {'trunk', 'structure encoder', 'adapters', 'LGM'}
    assert parts['head'][0] == parts['pyramid stride 8'][0] == 0
    assert 'pyramid stride 64 0 of 6, head 0 of' in str(match)
    with pytest.raises(InputError, match=r'does not fit the config: .* missing \(neck.1'):
        load_detector(read_config(str(pairs / 'leaf.py'), OPTIONS), str(out))


def test_the_card(trained, tmp_path):
    folder, model = trained
    digest = hashlib.sha256((folder / 'iter_4.pth').read_bytes()).hexdigest()
    data = dict(
        files={'pairs/annotations_train.json': 'ab' * 32}, manifests={'pairs/manifest.json': 'cd' * 32}
    )
    starts = [dict(data=data, protocols=['COCO mAP on test | ir'], versions=dict(torch='2.8.0'))]
    (folder / 'run.json').write_text(json.dumps(dict(starts=starts)))
    (folder / '2024/vis_data').mkdir(parents=True)
    rows = [
        {'lr': 0.1, 'loss': 3.0, 'step': 4},
        {'coco/bbox_mAP': 0.25, 'step': 2},
        {'coco/bbox_mAP': 0.5, 'step': 4},
    ]
    (folder / '2024/vis_data/scalars.json').write_text('\n'.join(map(json.dumps, rows)) + '\n{"coco/bb')
    export(folder, tmp_path / 'a.safetensors', adapters=True)
    card = (tmp_path / 'a.safetensors.md').read_text()
    for row in (
        f'| SHA-256 | {hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()} |',
        '| trained | epoch 0, iter 4 |',
        f'| from | iter_4.pth, SHA-256 {digest} |',
        f'| frozen trunk | vit_small_patch14_dinov2, SHA-256 {model.backbone.trunk.fingerprint} |',
        '| classes | person, car, bicycle |',
        '| protocol | COCO mAP on test / ir |',
        '| coco/bbox_mAP | 0.5000 |',
        f'| data: pairs/manifest.json | SHA-256 {"cd" * 32} |',
        '| version of torch | 2.8.0 |',
        '```python\nseed = 0\n```',
    ):
        assert row in card, row
    (folder / '2024/vis_data/scalars.json').unlink()
    export(folder, tmp_path / 'b.pth')
    assert '| figures | none: no validation at this step' in (tmp_path / 'b.pth.md').read_text()


def test_what_is_refused(trained, tmp_path, monkeypatch, capsys):
    folder, _ = trained
    checkpoint, config = folder / 'iter_4.pth', folder / 'leaf.py'

    def refused(message, *args):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
        assert run_here('export_checkpoint.py', monkeypatch, *args, '--cfg-options', *TINY_MODEL) == 1
        error = capsys.readouterr().err.strip().splitlines()
        assert re.search(message, error[-1]), error
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')} == before

    refused(r'--out a.safetensor: wanted a name that ends in', checkpoint, '--out', 'a.safetensor')
    refused(
        r'wanted a name that ends in .safetensors$', checkpoint, '--out', tmp_path / 'a.pth', '--adapters'
    )
    refused(r'the output is the input .*iter_4.pth', checkpoint, '--out', checkpoint)
    refused(r'the output is the input .*trunk.pth', checkpoint, '--out', tmp_path / 'trunk.pth')
    refused(r'iter_5.pth: no such checkpoint', folder / 'iter_5.pth', '--out', tmp_path / 'a.pth')
    (tmp_path / 'x.pth').mkdir()
    refused(r'x.pth: a folder, wanted the name of a file', checkpoint, '--out', tmp_path / 'x.pth')
    refused(r'leaf.py: a config, wanted a checkpoint', config, '--out', tmp_path / 'a.pth')
    out = ('--out', tmp_path / 'a.pth')
    refused(r'iter_4.pth: a checkpoint, wanted a config', checkpoint, *out, '--config', checkpoint)
    other = tmp_path / 'other.pth'
    other.write_bytes(checkpoint.read_bytes()[:3000])
    for more in ([], ['--config', config]):
        refused(r'truncated or damaged', other, *out, *more)
    write_trunk(tmp_path / 'trunk.pth', seed=6)
    refused(r'iter_4.pth: it was trained on the frozen trunk', checkpoint, '--out', tmp_path / 'a.pth')
    (folder / 'second.py').write_text(config.read_text())
    refused(r'several configs \(.*leaf.py, .*second.py\) beside it', checkpoint, '--out', tmp_path / 'a.pth')


QUOTES = "{{$X:''}}" * 3
"""Three single quotes, once MMEngine has read it."""


@pytest.mark.parametrize(
    'text',
    [
        'import os\nmodel = dict()\n',
        'model = dict(a=RAN)\n',
        'model = dict()\nRAN\n',
        "_base_ = 'below/other.py'\nmodel = dict()\n",
        f"model = dict(a='''{QUOTES}+str(RAN)+{QUOTES}''')\n",
        'max_iters = 4\n',
        "custom_imports = dict(imports=['below.other'])\nmodel = dict()\n",
        'model = dict(\n',
        '',
    ],
)
def test_code_beside_a_checkpoint_is_not_run(trained, tmp_path, text, monkeypatch, capsys):
    folder, _ = trained
    ran = f'open("{tmp_path / "ran"}", "w").close()'
    (folder / 'below').mkdir()
    (folder / 'below/other.py').write_text(ran)
    (folder / 'setup.py').write_text(text.replace('RAN', ran))
    assert find_config(str(folder / 'iter_4.pth')) == str(folder / 'leaf.py')
    (folder / 'leaf.py').unlink()
    for name, message in (
        ('iter_4.pth', 'iter_4.pth: no config of plain values beside it; say which with --config'),
        ('iter_5.pth', 'iter_5.pth: no such checkpoint'),
    ):
        words = (folder / name, '--out', tmp_path / 'a.pth')
        assert run_here('export_checkpoint.py', monkeypatch, *words) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('name', ['slgnet_flir.py', 'slgnet_kaist.py', 'slgnet_dronevehicle.py'])
def test_a_config_that_a_training_leaves_is_found(tmp_path, name):
    shipped_config(name).dump(tmp_path / 'any_name.py')
    assert find_config(str(tmp_path / 'epoch_50.pth')) == str(tmp_path / 'any_name.py')


def test_a_damaged_export_is_one_line(tmp_path):
    for data in (b'', b'\x08\0\0\0\0\0\0\0{}      ', b'\xff' * 40):
        (tmp_path / 'a.safetensors').write_bytes(data)
        with pytest.raises(InputError, match=r'not a checkpoint that can be loaded safely|holds no weights'):
            read_checkpoint(str(tmp_path / 'a.safetensors'))
